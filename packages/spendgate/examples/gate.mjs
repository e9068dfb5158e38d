// Plain Node: any call of anything, held before and booked after.
import { createGate, SpendgateError } from "spendgate";

// Reads SUPABASE_URL and SUPABASE_SECRET_KEY.
const gate = createGate();
const [tenantId, userId, prompt = "Hello"] = process.argv.slice(2);
const model = { provider: "openai", model: "gpt-4o-mini" };

async function ask() {
  const response = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${process.env.OPENAI_API_KEY}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({
      model: model.model,
      max_tokens: 500,
      messages: [{ role: "user", content: prompt }],
    }),
  });
  const { choices, usage } = await response.json();
  return {
    value: choices[0].message.content,
    usage: { ...model, input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens },
  };
}

try {
  // The most that the call may use: no token is shorter than a byte.
  const usage = {
    ...model,
    input_tokens: new TextEncoder().encode(prompt).length + 64,
    output_tokens: 500,
  };
  const call = { tenantId, userId, resourceType: "llm", task: "script", usage };
  console.log(await gate.withReservation(call, ask));
} catch (error) {
  if (!(error instanceof SpendgateError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
