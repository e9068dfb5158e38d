// A Deno server: `deno serve --allow-net --allow-env deno.ts`. Any backend may call it with the secret key, too.
import { createGate } from "spendgate";
import { gated } from "spendgate/server";

const gate = createGate();

const weather = gated(gate, { task: "weather" }, async ({ spender, userId, tenantId }) => {
  const search = { provider: "openai", model: "gpt-4o-mini", input_tokens: 1000, output_tokens: 0 };
  const call = {
    tenantId,
    userId,
    task: spender.task,
    resourceType: "llm" as const,
    usage: search,
  };
  const answer = await gate.withReservation(call, async () => ({
    value: { sky: "blue" },
    usage: { ...search, input_tokens: 900 },
  }));
  return Response.json(answer);
});

export default { fetch: weather };
