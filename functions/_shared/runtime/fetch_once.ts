/** The runtime's own. */
const { fetch } = globalThis;

const TEXT = { type: "text/plain;charset=UTF-8" };

/**
 * `fetch`, for what must not be done twice. Deno sends a request again, unasked, when a connection that it kept breaks
 * before the answer: a provider would be called, and paid, twice for one hold, or a hold be made twice. It does so with
 * bodies that it holds as bytes, and without a body. A Blob is read as it is sent, so it is sent once, and its length is known: the request
 * has a Content-Length, without which some servers see no body.
 */
export const fetchOnce: typeof fetch = async (input, init) => {
  if (input instanceof Request && !init?.body && !isRead(init?.method ?? input.method)) {
    return fetch(new Request(input, { ...init, body: await input.blob() }));
  }
  const { body } = init ?? {};
  const nothing = body === undefined && !(input instanceof Request) && !isRead(init?.method);
  if (nothing) return fetch(input, { ...init, body: new Blob([]) });
  // Where the headers name no Content-Type, it is the Blob's: the same as the text's own.
  if (typeof body === "string") return fetch(input, { ...init, body: new Blob([body], TEXT) });
  const isBytes = body instanceof Uint8Array;
  return fetch(
    input,
    isBytes ? { ...init, body: new Blob([body as Uint8Array<ArrayBuffer>]) } : init,
  );
};

/** Reading twice does nothing. */
function isRead(method = "GET"): boolean {
  return ["GET", "HEAD"].includes(method.toUpperCase());
}

/** Sends what an SDK sends that takes no fetch of ours, and looks for the runtime's at each call; `onAnswer` sees each answer. */
export function sendAllOnce(onAnswer: (response: Response) => void = () => {}): void {
  globalThis.fetch = async (input, init) => {
    const response = await fetchOnce(input, init);
    onAnswer(response);
    return response;
  };
}
