// One POST to a receiver: ten seconds, no redirects, and nothing of the answer but its status.
import { parseRetryAfter } from "../_shared/runtime/retry_after.ts";
import { checkTarget } from "./addresses.ts";
import { DeliveryFailure } from "./failure.ts";
import { type Answer, postTo } from "./post_to.ts";

const TIMEOUT_MS = 10_000;

export interface Post {
  url: string;
  headers?: Record<string, string>;
  body: unknown;
}

/** Whose address it is: what the operator set is taken as it is, what a tenant set is looked into first. */
export interface Trust {
  isTenants: boolean;
  allowPrivate: boolean;
}

/**
 * Posts JSON; `receiver` is what messages call who should take it.
 * @throws DeliveryFailure when it does not answer 2xx in time.
 */
export async function post(
  receiver: string,
  { url, headers, body }: Post,
  trust: Trust,
): Promise<void> {
  const json = typeof body === "string" ? body : JSON.stringify(body);
  const all = { "content-type": "application/json", "user-agent": "spendgate", ...headers };
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const sent = trust.isTenants
    ? checkTarget(url, trust.allowPrivate).then((target) => postTo(target, all, json, signal))
    : fetchPost(url, all, json, signal);
  const answer = await inTime(sent, signal).catch((thrown) => {
    throw unreached(receiver, thrown, signal);
  });
  judge(receiver, answer);
}

async function fetchPost(
  url: string,
  headers: Record<string, string>,
  body: string,
  signal: AbortSignal,
): Promise<Answer> {
  const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
  const { status } = response;
  await response.body?.cancel();
  return { status, retryAfter: response.headers.get("retry-after") };
}

/** A look-up of a name takes no signal. */
function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

/** @throws DeliveryFailure for anything but 2xx. Gone is gone; all else may be mended, and is sent again. */
function judge(receiver: string, { status, retryAfter }: Answer): void {
  if (status >= 200 && status < 300) return;
  throw new DeliveryFailure(`${receiver} answered ${status}`, {
    status,
    retryAfter: status === 429 || status === 503 ? parseRetryAfter(retryAfter) : null,
    isFinal: status === 410,
  });
}

function unreached(receiver: string, thrown: unknown, signal: AbortSignal): DeliveryFailure {
  if (thrown instanceof DeliveryFailure) return thrown;
  if (signal.aborted) {
    return new DeliveryFailure(`${receiver} did not answer within ${TIMEOUT_MS / 1000} s`, {
      code: "timeout",
    });
  }
  // The words of the runtime have the URL in them, which may be a secret.
  return new DeliveryFailure(`${receiver} could not be reached`, {
    code: codeOf(thrown) ?? "unreachable",
  });
}

/** `ECONNREFUSED` and its like, where an error has one. */
export function codeOf(thrown: unknown): string | undefined {
  const { code, cause } = (thrown ?? {}) as { code?: unknown; cause?: unknown };
  if (typeof code === "string" && /^\w{1,40}$/.test(code)) return code;
  return cause === undefined ? undefined : codeOf(cause);
}
