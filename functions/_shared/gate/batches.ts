// Requests that come while others are under way wait for the next one together. The first goes at once, alone.
import { activeContext, type TraceContext, within } from "../runtime/telemetry/context.ts";

/** Requests that go together: more only hold their locks for longer. */
const MOST = 32;

/** Milliseconds after which those that wait go, though what is under way has not ended: it may wait for a lock. */
const PATIENCE_MS = 50;

interface Waiting<Request, Answer> {
  request: Request;
  resolve(answer: Promise<Answer>): void;
  context: TraceContext;
}

export class Batches<Request, Answer> {
  readonly #send: (requests: Request[]) => Promise<Answer>[];
  #waiting: Waiting<Request, Answer>[] = [];
  #underWay = 0;
  #patience: ReturnType<typeof setTimeout> | undefined;

  /** `send` answers each request in its place. It is called in the trace of the first of them. */
  constructor(send: (requests: Request[]) => Promise<Answer>[]) {
    this.#send = send;
  }

  ask(request: Request): Promise<Answer> {
    return new Promise((resolve) => {
      this.#waiting.push({ request, resolve, context: activeContext() });
      if (this.#underWay === 0) this.#sendWaiting();
      else this.#patience ??= setTimeout(() => this.#sendWaiting(), PATIENCE_MS);
    });
  }

  #sendWaiting(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let from = 0; from < waiting.length; from += MOST) {
      this.#sendBatch(waiting.slice(from, from + MOST));
    }
  }

  #sendBatch(batch: Waiting<Request, Answer>[]): void {
    this.#underWay++;
    const context = batch[0]?.context ?? activeContext();
    const answers = within(context, () => this.#send(batch.map(({ request }) => request)));
    for (const [place, answer] of answers.entries()) batch[place]?.resolve(answer);
    void Promise.allSettled(answers).then(() => {
      this.#underWay--;
      this.#sendWaiting();
    });
  }
}
