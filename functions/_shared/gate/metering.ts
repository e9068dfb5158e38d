// Who pays for the calls of a model, and what they are for.
import type { Env } from "../runtime/env.ts";
import type { TraceContext } from "../runtime/telemetry/context.ts";
import type { Gate } from "./gate.ts";
import type { Receipt } from "./receipt.ts";

/** Who calls, and by which gate. */
export interface Caller {
  gate: Gate;
  env: Env;
  /** Null where a backend calls for a tenant, and for no user of it. */
  userId: string | null;
  /** Where it is known already. */
  tenantId?: string;
  /** Aborted when nobody reads the answer any more: what is under way ends soon, and nothing is begun. */
  gone?: AbortSignal;
}

/** What a request says of its calls: who pays for them, and what they are for. */
export interface Attribution {
  /** Header, or the user's only tenant, when left out; with the secret key always the header's. */
  tenantId?: string;
  task: string;
  conversationId?: string;
  pathId?: string;
}

/** A caller whose calls can be held and booked. */
export interface Metering extends Caller {
  tenantId: string;
  /** What kind of work: `chat`, `agent:<name>`, `compaction`, … Quotas and reports tell them apart. */
  task: string;
  conversationId?: string;
  pathId?: string;
  /** Makes a request that is sent again safe: nothing is held or booked twice. */
  keys?: RequestKeys;
  /** Moment (ms since 1970) by which all calls of the request have ended; callTimeoutMs from a call's own start when left out. */
  deadline?: number;
  /** Where the spans of its calls hang; the active one, when left out. Streams do not keep that. */
  trace?: TraceContext;
  /** Learns of each call that is admitted. */
  receipt?: Receipt;
  /** The provider has produced its first token: what fails before is an answer, what fails later is part of a stream. */
  onFirstToken?: () => void;
}

/** Of a request: its answer carries the receipt. */
export type RequestMetering = Metering & { receipt: Receipt };

/** The caller's idempotency key, told apart for each call that the request makes, in order. */
export class RequestKeys {
  #calls = 0;

  constructor(readonly key: string) {}

  next(): string {
    this.#calls += 1;
    return this.#calls === 1 ? this.key : `${this.key}#${this.#calls}`;
  }
}
