// What a call is for: the wire format has no place for it, so headers say it, the tenant too.
import { invalidRequest } from "../errors.ts";
import type { RequestMetering } from "../gate/metering.ts";
import { label } from "./label.ts";
import type { UserContext } from "./serve.ts";

/**
 * Metering for a task that is the header's, else `task`.
 * @throws SpendgateError invalid_request, and what `metering` says.
 */
export function attribute(
  { request, metering }: UserContext,
  task = "chat",
): Promise<RequestMetering> {
  const header = (name: string) => labelIn(request, `x-spendgate-${name}`);
  return metering({
    task: header("task") ?? task,
    conversationId: header("conversation"),
    pathId: header("path"),
  });
}

function labelIn(request: Request, header: string): string | undefined {
  const value = request.headers.get(header);
  if (value === null) return undefined;
  const parsed = label.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalidRequest([{ path: header, message: "Send 1 to 200 characters." }]);
}
