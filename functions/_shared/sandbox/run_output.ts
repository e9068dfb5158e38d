// What a run of code prints, collected up to a limit.

/** One piece of output, as it comes. */
export type RunEvent =
  | { type: "stdout" | "stderr"; text: string }
  /** What the code's last expression gave: its representations by format (`text`, `html`, `png` in base64, …). */
  | { type: "result"; formats: Record<string, unknown> };

export interface RunError {
  name: string;
  message: string;
  traceback: string | null;
}

export interface RunResult {
  stdout: string;
  stderr: string;
  results: Record<string, unknown>[];
  /** What the code threw, or `RunTimeout` when it took too long. */
  error: RunError | null;
  /** It printed more than a run may, and was stopped. */
  isTruncated: boolean;
  /** From its start to its end. */
  seconds: number;
}

export class RunOutput {
  readonly result: RunResult = {
    stdout: "",
    stderr: "",
    results: [],
    error: null,
    isTruncated: false,
    seconds: 0,
  };
  #bytes = 0;

  constructor(
    readonly maxBytes: number,
    readonly emit: (event: RunEvent) => void,
    readonly gone: AbortSignal | undefined,
  ) {}

  /** @throws Error when the run is to be stopped: it prints too much, or nobody listens. */
  add(event: RunEvent): void {
    this.gone?.throwIfAborted();
    const text = event.type === "result" ? JSON.stringify(event.formats) : event.text;
    this.#bytes += new TextEncoder().encode(text).length;
    if (this.#bytes > this.maxBytes) {
      this.result.isTruncated = true;
      throw new Error(`The run printed more than ${this.maxBytes} bytes.`);
    }
    if (event.type === "result") this.result.results.push(event.formats);
    else this.result[event.type] += event.text;
    this.emit(event);
  }
}
