// Answers that are passed on as their provider gave them.
import type { RequestMetering } from "../_shared/gate/metering.ts";

/** The answer, with what it cost in its headers. */
export async function plainAnswer(
  { receipt, env }: RequestMetering,
  body: BodyInit,
  mediaType: string,
): Promise<Response> {
  const costs = await receipt.costs(env.costWaitMs);
  return new Response(body, {
    headers: { "Content-Type": mediaType, ...receipt.headers(costs) },
  });
}
