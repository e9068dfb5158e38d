// When E2B ends a running sandbox: never before what is held, and the database knows.

import { SpendgateError } from "../errors.ts";
import type { Caller } from "../gate/metering.ts";
import { type ContextClaim, type ContextKey, Contexts } from "./contexts.ts";
import { connectSandbox, findSandbox, type Sandbox } from "./e2b.ts";

/** How often E2B is told, and asked, when it ends a sandbox. */
const TELL_ATTEMPTS = 3;

/**
 * Has E2B end a running sandbox no earlier than what is held, and makes sure where it was to end earlier: on the wire
 * one caller's time-out may overtake another's, and E2B cuts what is longer than its plan allows. Undefined: it is gone.
 */
export async function tellEnd(
  caller: Caller,
  key: ContextKey,
  sandboxId: string,
  claim: ContextClaim,
): Promise<{ answer: ContextClaim; sandbox: Sandbox } | undefined> {
  let answer = claim;
  for (let attempt = 1; ; attempt++) {
    const timeoutMs = (answer.set_timeout_seconds ?? 1) * 1000;
    const sandbox = await connectSandbox(caller.env, sandboxId, key.contextId, timeoutMs);
    if (!sandbox) return undefined;
    if (!claim.is_extended) return { answer, sandbox };
    answer = await confirmEnd(caller, key, sandboxId, answer);
    if (answer.outcome !== "ready" || !answer.is_extended || attempt === TELL_ATTEMPTS) {
      return { answer, sandbox };
    }
  }
}

/**
 * Looks when E2B ends a running sandbox, and has it end later where somebody uses it for longer.
 * @returns whether it had to.
 */
export async function ensureEnd(
  caller: Pick<Caller, "env" | "gate">,
  key: ContextKey,
  sandboxId: string,
  known: Pick<ContextClaim, "revision">,
): Promise<boolean> {
  const answer = await confirmEnd(caller, key, sandboxId, known);
  if (answer.outcome !== "ready" || !answer.is_extended) return false;
  const seconds = answer.set_timeout_seconds ?? 1;
  await connectSandbox(caller.env, sandboxId, key.contextId, seconds * 1000);
  await confirmEnd(caller, key, sandboxId, answer);
  return true;
}

/** What the database makes of E2B's words about a running sandbox; asked once more where they were old. */
async function confirmEnd(
  { env, gate }: Pick<Caller, "env" | "gate">,
  key: ContextKey,
  sandboxId: string,
  known: Pick<ContextClaim, "revision">,
): Promise<ContextClaim> {
  const contexts = new Contexts(gate);
  let { revision } = known;
  for (let attempt = 1; ; attempt++) {
    const facts = await findSandbox(env, sandboxId).catch(() => findSandbox(env, sandboxId));
    const answer = await contexts.confirm(
      key,
      crypto.randomUUID(),
      { ...facts, sandboxId },
      { revision, enforce: env.enforceE2bQuotas },
    );
    if (answer.outcome !== "again" || attempt === TELL_ATTEMPTS) return answer;
    revision = answer.revision;
  }
}

/** E2B ends it before the run could end, whatever it is told. */
export function lifeEnds({ expires_at }: ContextClaim): SpendgateError {
  return new SpendgateError(
    "sandbox_life_ends",
    `E2B ends this sandbox at ${expires_at}, before the run could end: its plan allows no longer life in one go. ` +
      "Run something shorter, or leave it idle until it is paused: resumed, it lives anew.",
    { details: { expiresAt: expires_at } },
  );
}
