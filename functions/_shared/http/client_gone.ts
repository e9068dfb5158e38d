// When nobody waits for the answer any more.

/** Aborted when the client has gone, as far as the runtime tells before the answer; its stream's `cancel` tells after. */
export function clientGone(request: Request): AbortController {
  const gone = new AbortController();
  if (request.signal.aborted) gone.abort();
  request.signal.addEventListener("abort", () => gone.abort());
  return gone;
}
