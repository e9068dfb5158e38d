// Where compatible providers look for `cache_control`: in a part of a message's content.

/** The AI SDK puts it beside a content that is one text, where nobody reads it. */
export function cacheControlInParts(body: Record<string, unknown>): Record<string, unknown> {
  const messages = body.messages as Record<string, unknown>[];
  return {
    ...body,
    messages: messages.map(({ cache_control, content, ...message }) =>
      cache_control === undefined || typeof content !== "string"
        ? { ...message, content, ...(cache_control !== undefined && { cache_control }) }
        : { ...message, content: [{ type: "text", text: content, cache_control }] },
    ),
  };
}
