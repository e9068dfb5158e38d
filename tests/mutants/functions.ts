// Guards in functions/, broken one at a time.
import { type Mutant, vitest } from "./mutant.ts";

const ENDINGS = [vitest("e2e/chat_endings"), vitest("e2e/chat_contract")];
const CHAT = [vitest("e2e/chat"), vitest("e2e/chat_contract")];

function broken(
  name: string,
  file: string,
  from: string | RegExp,
  to: string,
  tests: string[],
): Mutant {
  return { name: `functions: ${name}`, change: { file: `functions/${file}`, from, to }, tests };
}

export const functionMutants: Mutant[] = [
  broken(
    "the provider is called before the hold",
    "_shared/metered_model.ts",
    'const attempt = await Attempt.open("chat", product, bound, metering, params, time);',
    'void (async () => languageModel(product, fetch).doGenerate(bounded))().catch(() => {});\n      const attempt = await Attempt.open("chat", product, bound, metering, params, time);',
    CHAT,
  ),
  broken(
    "a refusal is passed over",
    "_shared/gate.ts",
    "if (!answer.allowed || id === null) throw quotaExceeded(request.resourceType, answer);",
    'if (!answer.allowed || id === null) return { id: "00000000-0000-4000-8000-000000000000", warnings: [] };',
    CHAT,
  ),
  broken(
    "a replayed hold is spent again",
    "_shared/gate.ts",
    "if (answer.replayed) {",
    "if (false) {",
    [vitest("e2e/attempts", "Idempotency-Key")],
  ),
  broken(
    "the body's tenant pays, without a question of membership",
    "_shared/gate.ts",
    "user_id: request.userId,",
    "user_id: null,",
    [vitest("isolation/endpoints"), ...CHAT],
  ),
  broken(
    "a call that ended is not settled",
    "_shared/metered_model.ts",
    "usage.seeAnswer(result);\n          attempt.settle(usage.usage);",
    "usage.seeAnswer(result);",
    ENDINGS,
  ),
  broken(
    "a stream that ended is not settled",
    "_shared/metered_stream.ts",
    "if (watch.usage !== undefined) attempt.settle(watch.usage);",
    "if (watch.usage !== undefined) {}",
    ENDINGS,
  ),
  broken(
    "a stream that was stopped is not settled",
    "_shared/metered_stream.ts",
    "else if (isKnown) attempt.settleCounted(known);",
    "else if (isKnown) {}",
    ENDINGS,
  ),
  broken(
    "a settle is not tried again",
    "_shared/gate.ts",
    "const SETTLE_ATTEMPTS = 4;",
    "const SETTLE_ATTEMPTS = 1;",
    [vitest("e2e/chat_contract", "refuses to settle at first")],
  ),
  broken(
    "a failed call is not released",
    "_shared/attempt.ts",
    "if (chargesNothing(error, this.request)) {",
    "if (false) {",
    ENDINGS,
  ),
  broken(
    "a call that broke after it was sent is released",
    "_shared/attempt.ts",
    "if (chargesNothing(error, this.request)) {",
    "if (true) {",
    ENDINGS,
  ),
  broken(
    "the hold of a lost answer is left",
    "_shared/gate.ts",
    "if (isLost(error)) inBackground(this.#releaseLost(request, callId));",
    "",
    [vitest("e2e/chat_contract", "does not answer in time")],
  ),
  broken(
    "a prompt of no tokens is believed",
    "_shared/llm/usage_openai.ts",
    "const isComplete = input > 0 &&",
    "const isComplete =",
    [vitest("wire/wire", "a prompt of 0 tokens")],
  ),
  broken(
    "usage of zero is believed",
    "_shared/llm/usage.ts",
    "return counts.output_tokens < this.produced.words || this.#hidesFiles(counts);",
    "return false;",
    [vitest("wire/wire", "that 10 words were 0 tokens")],
  ),
  broken(
    "a stream runs beyond its hold",
    "_shared/attempt.ts",
    "if (outputTokens <= this.#heldOutput) return;",
    "return;",
    [vitest("e2e/attempts", "ignores the limit")],
  ),
  broken(
    "a call may take for ever",
    "_shared/attempt.ts",
    'this.#deadline = setTimeout(() => this.stop(new CallTimeout("timed out")), rest);',
    "this.#deadline = setTimeout(() => {}, rest);",
    ENDINGS,
  ),
  broken(
    "a token of any role is a user's",
    "_shared/auth.ts",
    'const claims = z.object({ sub: z.uuid(), role: z.literal("authenticated") });',
    'const claims = z.object({ sub: z.uuid().default("00000000-0000-4000-8000-000000000000") });',
    [vitest("isolation/endpoints")],
  ),
  broken(
    "a token is read, not verified",
    "_shared/auth.ts",
    /const \{ data, error \} = await authOf\(env\)\n\s+\.getClaims\(token\)\n\s+\.catch\(\(error\) => \(\{ data: null, error \}\)\);/,
    'const data = { claims: JSON.parse(atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/")) || "null") };\n  const error = null as any;',
    [vitest("isolation/endpoints")],
  ),
  broken(
    "a body may have any size",
    "_shared/http.ts",
    'if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();',
    "maxBytes = 1e12;",
    CHAT,
  ),
  broken(
    "an error's words are told",
    "_shared/errors.ts",
    'return new SpendgateError("internal_error", "Something went wrong here.", { cause: error });',
    'return new SpendgateError("internal_error", String((error as Error).stack), { cause: error });',
    [vitest("fuzz/errors")],
  ),
  broken(
    "a provider's words are told",
    "_shared/provider_error.ts",
    'return "The model\'s provider failed.";',
    "return messageOf(error);",
    [...CHAT, ...ENDINGS],
  ),
  broken(
    "a gate that does not answer lets through",
    "_shared/gate.ts",
    "if (isLost(error)) inBackground(this.#releaseLost(request, callId));\n      throw error;",
    "return { allowed: true, reservation_id: callId, warnings: [], replayed: false } as unknown as ReserveAnswer;",
    CHAT,
  ),
  broken(
    "quotas are never enforced",
    "_shared/attempt.ts",
    "enforce: metering.env.enforceCostQuotas,",
    "enforce: false,",
    CHAT,
  ),
  broken(
    "quotas are enforced although they are turned off",
    "_shared/attempt.ts",
    "enforce: metering.env.enforceCostQuotas,",
    "enforce: true,",
    CHAT,
  ),
];
