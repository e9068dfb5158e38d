/**
 * `fetch`, for what must not be done twice. Deno sends a request again, unasked, when a connection that it kept breaks
 * before the answer: a provider would be called, and paid, twice for one hold, or a hold be made twice. It does so with
 * bodies that it holds as bytes. A Blob is read as it is sent, so it is sent once, and its length is known: the request
 * has a Content-Length, without which some servers see no body.
 */
export const fetchOnce: typeof fetch = (input, init) =>
  typeof init?.body === "string"
    ? fetch(input, { ...init, body: new Blob([init.body]) })
    : fetch(input, init);
