// Arguments of tool calls, as the text that models write and as the object that clients read.
import { parsePartialJson } from "ai";

/** A call without arguments has an empty object: clients parse it. */
export function toArguments(input: string): string {
  return input.trim() === "" ? "{}" : input;
}

/** A call that its answer's limit cut off has half an object for its arguments: what there is of it. */
export async function readArguments(json: string): Promise<unknown> {
  if (json.trim() === "") return {};
  const { value } = await parsePartialJson(json);
  return value ?? {};
}
