// Names that callers give: of a task, a conversation, a path.
import * as z from "zod";

/** A text that Postgres can store and a report can show: no control characters, no halves of characters. */
export const label = z
  .string()
  .min(1)
  .max(200)
  .refine((text) => !/\p{Cc}|\p{Cs}/u.test(text), "Control characters cannot be stored.");
