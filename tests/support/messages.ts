// What tests send to a model, and how they read its stream.

/** The messages of a request: one, of the user. */
export const say = (content = "Hello") => ({ messages: [{ role: "user" as const, content }] });

/** The JSON objects among the server-sent events of a stream. */
// biome-ignore lint/suspicious/noExplicitAny: the shape is what the tests are about.
export function eventsOf(stream: string): any[] {
  return stream
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice("data: ".length)));
}
