/**
 * `fetch`, for what must not be done twice. Deno sends a request again, unasked, when a connection that it kept breaks
 * before the answer: a provider would be called, and paid, twice for one hold, or a hold be made twice. A body that is a
 * stream can be read once only, and so is sent once (the Fetch standard says so too).
 */
export const fetchOnce: typeof fetch = (input, init) =>
  typeof init?.body === "string"
    ? fetch(input, { ...init, body: new Blob([init.body]).stream() })
    : fetch(input, init);
