// What is known, on the wire, of the one request that a call makes of its provider.
import { fetchOnce } from "../../runtime/fetch_once.ts";
import { bodyOf, readPieces } from "../../runtime/pieces.ts";

/** Statuses by which a gateway says that it waited no longer: the model may have worked, and be billed. */
const UNKNOWN_STATUSES = new Set([408, 499, 504, 520, 524]);

/** Whether a status is the provider's own refusal, which costs nothing. */
export function isRefusedStatus(status: number): boolean {
  return status >= 400 && !UNKNOWN_STATUSES.has(status);
}

/** Hands `fetch` to a provider's SDK, and remembers what came of it. Nothing is sent before the call is `held`. */
export class ProviderRequest {
  /** Whether anything may have reached the provider. */
  isSent = false;
  /** Of the provider's answer; undefined while there is none. */
  status: number | undefined;
  readonly #over = new AbortController();

  constructor(readonly held: Promise<void>) {}

  readonly fetch: typeof fetch = async (input, init) => {
    await this.held;
    const { signal } = this.#over;
    stopWith(this.#over, init?.signal);
    signal.throwIfAborted();
    this.isSent = true;
    try {
      const response = await fetchOnce(input, { ...init, signal });
      this.status = response.status;
      return await unmaskRefusal(stoppable(response, signal));
    } catch (error) {
      this.isSent = this.status !== undefined || !isUnconnected(error);
      throw error;
    }
  };

  /** Nobody reads on: a connection that is still open is closed, so that the provider stops. */
  close(): void {
    this.#over.abort(new DOMException("The call has ended.", "AbortError"));
  }
}

/** Aborts with `signal`. AbortSignal.any would do, but for its results, which a runtime may collect while a call waits. */
export function stopWith(
  controller: AbortController,
  signal: AbortSignal | null | undefined,
): void {
  const stop = () => controller.abort(signal?.reason);
  if (signal?.aborted) stop();
  else signal?.addEventListener("abort", stop, { once: true });
}

/**
 * The same answer, whose body ends with `signal`. The runtime's own does not once it has collected the request, as it
 * may while a provider is silent: then a call would wait, and be held, for ever.
 */
function stoppable(response: Response, signal: AbortSignal): Response {
  const reader = response.body?.getReader();
  if (!reader) return response;
  const listening = new AbortController();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const onAbort = () => {
        controller.error(signal.reason);
        void reader.cancel(signal.reason).catch(() => {});
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true, signal: listening.signal });
    },
    async pull(controller) {
      const { done, value } = await reader.read();
      if (signal.aborted) return;
      if (!done) return controller.enqueue(value);
      listening.abort();
      controller.close();
    },
    async cancel(reason) {
      listening.abort();
      await reader.cancel(reason);
    },
  });
  const { status, headers } = response;
  return new Response(body, { status, headers });
}

/** A connection that was never made; one that broke later leaves the usage unknown. */
export function isUnconnected(error: unknown): boolean {
  const { message, code, cause } = error as { message?: string; code?: string; cause?: unknown };
  return (
    /\(Connect\)/.test(message ?? "") ||
    /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN)$/.test(code ?? "") ||
    (cause !== undefined && cause !== null && isUnconnected(cause))
  );
}

/** What is longer is an answer. */
const MOST_REFUSAL_BYTES = 65_536;

/** Some providers refuse with status 200 and say so in the body: the answer gets the status that it should have had. */
async function unmaskRefusal(response: Response): Promise<Response> {
  if (!response.ok || !response.headers.get("content-type")?.includes("application/json")) {
    return response;
  }
  const reader = response.body?.getReader();
  if (!reader) return response;
  const { pieces, isWhole } = await readPieces(reader, MOST_REFUSAL_BYTES);
  const text = isWhole ? await new Blob(pieces).text() : undefined;
  const status = refusalIn(text ?? "") ?? response.status;
  const headers = new Headers(response.headers);
  // The body is decoded, whatever it was encoded as.
  for (const name of ["content-encoding", "content-length"]) headers.delete(name);
  return new Response(text ?? bodyOf(pieces, reader), { status, headers });
}

function refusalIn(text: string): number | undefined {
  if (!text.includes('"error"')) return undefined;
  try {
    const body = JSON.parse(text);
    return saysOnlyError(body) ? (statusOf(body.error) ?? 502) : undefined;
  } catch {
    return undefined;
  }
}

/** Fields that hold an answer, or what it used. */
const ANSWERS = ["choices", "candidates", "data", "text", "results", "usage", "usageMetadata"];

/** Whether a provider's JSON says that it failed, and neither an answer nor usage: then nothing is billed. */
export function saysOnlyError(body: unknown): boolean {
  const { error, ...answer } = (body ?? {}) as Record<string, unknown>;
  if (error === undefined || error === null || error === false) return false;
  return ANSWERS.every((name) => answer[name] === undefined || answer[name] === null);
}

/** HTTP status that an error of a provider names. */
export function statusOf(error: unknown): number | undefined {
  const { code, status, statusCode } = (error ?? {}) as Record<string, unknown>;
  return [statusCode, code, status].map(Number).find((each) => each >= 400 && each <= 599);
}
