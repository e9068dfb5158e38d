// The one door to E2B: every second of a sandbox that is started from here is held before and booked after.
// No other module may import its SDKs or read its key; a check in CI says so.
import { Sandbox } from "@e2b/code-interpreter";
import { InvalidArgumentError, RateLimitError } from "e2b";
import { z } from "zod";
import { SpendgateError } from "../errors.ts";
import type { Gate } from "../gate/gate.ts";
import type { Metering } from "../gate/metering.ts";
import { quotaExceeded } from "../gate/quota_exceeded.ts";
import { recordRefusal } from "../gate/refusal.ts";
import { inBackground } from "../runtime/background.ts";
import { type Env, parseVariables } from "../runtime/env.ts";
import { sendAllOnce } from "../runtime/fetch_once.ts";
import { describeError, log } from "../runtime/log.ts";
import { type ContextClaim, type ContextKey, Contexts } from "./contexts.ts";
import { noteRetryAfter, sandboxError, statusOf } from "./error.ts";
import { type ListedSandbox, readFacts, readFactsOf } from "./facts.ts";
import { type Ended, interpreterOf, runCode } from "./interpreter.ts";
import {
  type OutputLimits,
  type RunError,
  type RunEvent,
  RunOutput,
  type RunResult,
} from "./run_output.ts";
import { atStage, type Stage } from "./stage.ts";

// A sandbox that is started twice is paid twice.
sendAllOnce(noteRetryAfter);

/** Who uses a sandbox. */
export interface SandboxCaller {
  gate: Gate;
  env: Env;
  userId: string;
  /** Where it is known before the sandbox is found. */
  tenantId?: string;
  /** Aborted when nobody waits for the output any more. */
  gone?: AbortSignal;
}

/** The sandbox of a conversation's path. */
export interface SandboxRequest {
  conversationId: string;
  pathId?: string;
  /** A row of spend.sandbox_templates. */
  template?: string;
  /** Seconds that it may live until it is used again. */
  timeoutSeconds?: number;
}

export interface CodeRun extends OutputLimits {
  code: string;
  language: string;
  /** Seconds that it may take. */
  seconds: number;
}

/** A sandbox that runs, and is paid for. */
export interface LiveSandbox extends ContextKey {
  conversationId: string;
  pathId: string | null;
  template: string;
  sandboxId: string;
  /** This request started it. */
  isNew: boolean;
  startedAt: string;
  /** When it ends by itself. */
  expiresAt: string;
  /** Number of this run, of all that were admitted to it. */
  run: number;
  sandbox: Sandbox;
}

/** How often E2B is asked for a sandbox that it may not have, and that it ends it no earlier. */
const CONNECT_ATTEMPTS = 3;
const TELL_ATTEMPTS = 3;
/** Milliseconds before E2B is asked again for what it says that it does not have. */
const DOUBT_MS = 300;
/** How often a request begins anew because the sandbox was lost under its hands. */
const MAX_TURNS = 4;

/**
 * Gets the sandbox of a conversation's path, or starts it. Of any number of requests at once one starts it,
 * the others wait.
 * @throws SpendgateError with the `stage`: quota_exceeded, not_your_sandbox, upstream_error, sandbox_busy
 *   when the wait was in vain, what the gate says.
 */
export function openSandbox(
  metering: Metering,
  request: SandboxRequest,
  runSeconds = 0,
): Promise<LiveSandbox> {
  const { gate, env, tenantId, userId, task } = metering;
  return enter(metering, (claimId) =>
    new Contexts(gate).claim({
      tenantId,
      userId,
      conversationId: request.conversationId,
      pathId: request.pathId,
      claimId,
      template: request.template ?? env.sandboxTemplate,
      timeoutSeconds: request.timeoutSeconds ?? env.sandboxTimeoutSeconds,
      runSeconds,
      claimSeconds: claimSeconds(env),
      task,
      enforce: env.enforceE2bQuotas,
    }),
  );
}

/** openSandbox, and runs code in it. */
export async function runInConversation(
  metering: Metering,
  request: SandboxRequest,
  run: CodeRun,
): Promise<RunResult> {
  const live = await openSandbox(metering, request, secondsOf(run, metering.env));
  return execute(metering, live, run);
}

/**
 * A sandbox that was opened before, ready for a run; one that was paused goes on.
 * @throws SpendgateError not_found when it has ended or is not the user's to use; else as openSandbox.
 */
export function useSandbox(
  caller: SandboxCaller,
  contextId: string,
  run: CodeRun,
): Promise<LiveSandbox> {
  return enter(caller, (claimId) =>
    new Contexts(caller.gate).use({
      contextId,
      userId: caller.userId,
      claimId,
      runSeconds: secondsOf(run, caller.env),
      claimSeconds: claimSeconds(caller.env),
      enforce: caller.env.enforceE2bQuotas,
    }),
  );
}

/**
 * Runs code, once, in a sandbox that useSandbox or openSandbox made ready for it. What the code throws is a result, as
 * is a run that took too long or printed too much: that is stopped, and the next run begins at once.
 * @throws SpendgateError upstream_error when the sandbox fails or ends under it, with what was printed until then as
 *   `output` and what is lost as `state`; sandbox_busy when other runs left it no time to begin.
 */
export function execute(
  caller: SandboxCaller,
  live: LiveSandbox,
  run: CodeRun,
  emit: (event: RunEvent) => void = () => {},
): Promise<RunResult> {
  return atStage("run", attributesOf(live), async () => {
    const output = new RunOutput(run, emit);
    const startedAt = performance.now();
    const seconds = () => (performance.now() - startedAt) / 1000;
    let ended: Ended;
    try {
      ended = await runCode(
        interpreterOf(live.sandbox),
        {
          ...run,
          answerMs: caller.env.e2bTimeoutMs,
          gone: caller.gone,
          isShared: () => isUsedSince(caller, live),
        },
        output,
      );
    } catch (error) {
      const isLost = await endIfGone(caller, live);
      throw runFailed(error, isLost, output.ended(seconds()));
    }
    const { ending, state } = ended;
    log("info", "sandbox_run", { ...attributesOf(live), seconds: seconds(), ending, state });
    if (ending === "waited")
      return busy("run", "Other code ran in the sandbox all the time. Try again.");
    output.result.error ??= stoppedBy(ending, run);
    return output.ended(seconds(), state);
  });
}

/** What a run that was stopped says in the place of what its code threw. */
function stoppedBy(ending: Ended["ending"], { seconds }: CodeRun): RunError | null {
  switch (ending) {
    case "timeout": {
      const message = `The code had not ended after ${seconds} s, and was stopped.`;
      return { name: "RunTimeout", message, traceback: null };
    }
    case "gone":
      return {
        name: "RunAborted",
        message: "Nobody waits for the code any more.",
        traceback: null,
      };
    default:
      return null;
  }
}

/** Whether somebody else has come to the sandbox since. */
async function isUsedSince(caller: SandboxCaller, live: LiveSandbox): Promise<boolean> {
  const found = await new Contexts(caller.gate).find(live.contextId, caller.userId);
  return found !== undefined && found.runs > live.run;
}

/** A run that failed, with what it printed before, and what is lost of what the sandbox had. */
function runFailed(error: unknown, isLost: boolean, output: RunResult): SpendgateError {
  const failed = sandboxError(error);
  return new SpendgateError(
    isLost ? "upstream_error" : failed.code,
    isLost
      ? "The sandbox ended while the code ran. Its variables and files are lost: open it again."
      : failed.message,
    {
      details: { ...failed.details, state: isLost ? "lost" : "unknown", output },
      retryAfter: failed.retryAfter,
      cause: failed.cause,
    },
  );
}

/**
 * Kills a sandbox and books the seconds that it ran. Again, or of one that has ended: nothing happens.
 * @throws SpendgateError not_found when it is not the user's to use; sandbox_busy while it is being started;
 *   upstream_error when it could not be killed; quota_unavailable when it was, and is booked later.
 */
export async function terminateSandbox(caller: SandboxCaller, contextId: string): Promise<void> {
  const contexts = new Contexts(caller.gate);
  const context = await contexts.find(contextId, caller.userId);
  if (!context) return noSandbox("terminate");
  if (context.status === "terminated" || context.status === "failed") return;
  // One that is being resumed is given up all the same: it is known, and whoever resumes it is told.
  const { sandbox_id: sandboxId } = context;
  if (sandboxId === null) return busy("terminate");
  const key = { tenantId: context.tenant_id, contextId };
  const killed = await atStage("terminate", { ...attributesOf(key), sandboxId }, () =>
    killSandbox(caller.env, sandboxId),
  );
  const seenAt = killed ? performance.now() : undefined;
  await atStage("settle", { ...attributesOf(key), sandboxId }, () =>
    contexts
      .end(key, "terminated", "killed", { seenAt })
      .catch(saying("The sandbox has ended; what it cost is booked later.")),
  );
}

/** Asks for the sandbox until it is there: starts it, resumes it, waits for whoever does, connects to it. */
async function enter(
  caller: SandboxCaller,
  ask: (claimId: string) => Promise<ContextClaim>,
): Promise<LiveSandbox> {
  connection(caller.env);
  const deadline = Date.now() + caller.env.sandboxWaitMs;
  let claimId = crypto.randomUUID();
  for (let turn = 0, waits = 0; turn < MAX_TURNS; ) {
    const claim = await atStage("quota_check", {}, () => ask(claimId));
    const askedAt = performance.now();
    if (claim.outcome === "gone") return noSandbox("connect");
    if (claim.outcome === "refused") await refuse(caller, claim);
    if (claim.outcome === "wait") {
      if (Date.now() >= deadline) break;
      await sleep(Math.min(100 * 1.5 ** waits++, 1000));
      continue;
    }
    const live =
      claim.outcome === "ready"
        ? await reconnect(caller, claim, askedAt)
        : await start(caller, claim, claimId);
    // On the way for longer than was reckoned with, it is asked for once more, for the time that is needed now.
    if (live && performance.now() - askedAt <= caller.env.e2bTimeoutMs) return live;
    claimId = crypto.randomUUID();
    turn++;
  }
  return busy("connect");
}

/** Answers the refusal; of one that runs already, what was refused is more of its time. */
async function refuse(caller: SandboxCaller, claim: ContextClaim): Promise<never> {
  const stage = claim.started_at ? "extend" : "quota_check";
  const { refusal } = claim;
  if (!refusal) throw new Error("a refused claim says why");
  const error = quotaExceeded("e2b", refusal);
  const tenantId = claim.tenant_id ?? caller.tenantId;
  const who = { tenantId, userId: caller.userId, sandboxId: claim.sandbox_id };
  recordRefusal("sandbox", error, who, { "spendgate.resource_type": "e2b" });
  return atStage(stage, { tenantId }, () => Promise.reject(error));
}

/** Starts or resumes a sandbox that is held already; undefined when that came to nothing, and is to be asked again. */
async function start(
  caller: SandboxCaller,
  claim: ContextClaim,
  claimId: string,
): Promise<LiveSandbox | undefined> {
  const contexts = new Contexts(caller.gate);
  const key = keyOf(claim);
  const timeoutMs = (claim.timeout_seconds ?? caller.env.sandboxTimeoutSeconds) * 1000;
  const stage = claim.sandbox_id ? "connect" : "create";
  return atStage(stage, attributesOf(key), async () => {
    let sandbox: Sandbox | undefined;
    try {
      sandbox = claim.sandbox_id
        ? await connect(caller.env, claim.sandbox_id, key.contextId, timeoutMs)
        : await create(caller.env, claim, claimId, timeoutMs);
    } catch (error) {
      const failed = await startOutcome(caller.env, claim, error);
      // Where this is lost too, the claim expires, and reconciliation finds out.
      await contexts.fail(key, claimId, failed, "start_failed").catch(() => {});
      throw sandboxError(error);
    }
    if (!sandbox) {
      await contexts.fail(key, claimId, "failed", "start_failed").catch(() => {});
      return undefined;
    }
    const { sandboxId } = sandbox;
    const facts = await findSandbox(caller.env, sandboxId).catch(() => undefined);
    // When this gives no answer the sandbox goes on: killed, nobody would know what it ran. Reconciliation ends it.
    const answer = await contexts
      .confirm(key, claimId, { ...facts, sandboxId }, { enforce: caller.env.enforceE2bQuotas })
      .catch(saying("The database does not answer; the sandbox is ended and booked later."));
    if (answer.outcome === "ready" && !isShort(answer)) {
      return toLive(answer, sandbox, claim);
    }
    if (answer.outcome === "refused") {
      await giveUp(caller.env, contexts, claim, sandboxId, facts);
      await refuse(caller, { ...answer, started_at: null });
    }
    if (answer.outcome === "gone") await killNobodys(caller.env, contexts, claim, sandboxId, facts);
    return undefined;
  });
}

/** Whether E2B ends it before somebody's use of it: then it is asked for once more. */
function isShort({ expires_at, in_use_until }: ContextClaim): boolean {
  return Date.parse(expires_at ?? "") < Date.parse(in_use_until ?? "");
}

/** What a start that failed leaves behind; unknown: reconciliation, or whoever resumes it next, finds out. */
async function startOutcome(
  env: Env,
  claim: ContextClaim,
  error: unknown,
): Promise<"failed" | "paused" | "unknown"> {
  if (!claim.sandbox_id) return isRefusal(error) ? "failed" : "unknown";
  const facts = await findSandbox(env, claim.sandbox_id).catch(() => undefined);
  return facts?.state === "paused" ? "paused" : "unknown";
}

/** A sandbox that is larger than there is room for: ended, or paused where it has what its user left in it. */
async function giveUp(
  env: Env,
  contexts: Contexts,
  claim: ContextClaim,
  sandboxId: string,
  facts: ListedSandbox | undefined,
): Promise<void> {
  const isPaused = claim.sandbox_id !== null && (await pauseSandbox(env, sandboxId));
  if (!isPaused) await killSandbox(env, sandboxId);
  await contexts.end(keyOf(claim), isPaused ? "paused" : "failed", "too_large", {
    startedAt: facts?.startedAt,
    seenAt: performance.now(),
  });
}

/** A sandbox that was started, or resumed, for a claim that is no more. */
async function killNobodys(
  env: Env,
  contexts: Contexts,
  claim: ContextClaim,
  sandboxId: string,
  facts: ListedSandbox | undefined,
): Promise<void> {
  await killSandbox(env, sandboxId);
  const key = keyOf(claim);
  if (!claim.sandbox_id) {
    const seenAt = performance.now();
    await contexts.end(key, "failed", "claim_lost", { startedAt: facts?.startedAt, seenAt });
  } else if (facts) {
    await contexts.bookStray(key.tenantId, { ...facts, contextId: key.contextId }, null);
  }
}

async function create(
  env: Env,
  claim: ContextClaim,
  claimId: string,
  timeoutMs: number,
): Promise<Sandbox> {
  const template = claim.template ?? env.sandboxTemplate;
  const sandbox = await Sandbox.create(template, {
    ...connection(env),
    timeoutMs,
    metadata: Object.fromEntries(
      Object.entries({
        spendgate: env.project,
        tenant_id: claim.tenant_id,
        context_id: claim.context_id,
        claim_id: claimId,
        conversation_id: claim.conversation_id,
        path_id: claim.path_id,
        template,
      }).flatMap(([name, value]) => (value === null ? [] : [[name, value]])),
    ),
  });
  if (!sandbox.sandboxId) throw new Error("E2B answered a create without the id of a sandbox");
  return sandbox;
}

/** Sandbox, for an answer to connect that names the sandbox it was asked for. */
class Connected extends Sandbox {
  static async to(
    sandboxId: string,
    options: ReturnType<typeof connection> & { timeoutMs: number },
  ): Promise<Sandbox> {
    const answer = await Sandbox.connectSandbox(sandboxId, options);
    if (answer.sandboxId !== sandboxId) {
      log("error", "sandbox_id_differs", { sandboxId, answered: String(answer.sandboxId) });
      throw new AnotherSandbox("E2B connected to another sandbox than the one that was asked for");
    }
    return new Sandbox({ ...answer, ...options, sandboxId });
  }
}

class AnotherSandbox extends Error {}

/**
 * Connects to a sandbox, and resumes it where it is paused, so that E2B ends it no earlier than `timeoutMs` from now.
 * Twice is once, so what gives no answer is asked again. Undefined: E2B does not have it any more.
 */
async function connect(
  env: Env,
  sandboxId: string,
  contextId: string,
  timeoutMs: number,
): Promise<Sandbox | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await Connected.to(sandboxId, { ...connection(env), timeoutMs });
    } catch (error) {
      const isInDoubt = isGone(error);
      if (isInDoubt && !(await isStillThere(env, sandboxId, contextId))) return undefined;
      const isFinal = error instanceof AnotherSandbox || (isRefusal(error) && !isInDoubt);
      if (isFinal || attempt === CONNECT_ATTEMPTS) throw error;
      if (isInDoubt) await sleep(DOUBT_MS * attempt);
    }
  }
}

/** Whether E2B has a sandbox that it says it has not: it may be waking up. Where it does not say, it is there. */
export async function isStillThere(
  env: Env,
  sandboxId: string,
  contextId: string,
): Promise<boolean> {
  const isListed = async () => {
    const { sandboxes, isComplete } = await listSandboxes(env, { contextId });
    return !isComplete || sandboxes.some((each) => each.sandboxId === sandboxId);
  };
  try {
    return (await findSandbox(env, sandboxId)) !== undefined || (await isListed());
  } catch {
    return true;
  }
}

/** Connects to a sandbox that runs, for as long as is held. Undefined when it is gone, or was paused: asked again. */
function reconnect(
  caller: SandboxCaller,
  claim: ContextClaim,
  askedAt: number,
): Promise<LiveSandbox | undefined> {
  const { env } = caller;
  const contexts = new Contexts(caller.gate);
  const key = keyOf(claim);
  const sandboxId = claim.sandbox_id as string;
  return atStage(claim.is_extended ? "extend" : "connect", attributesOf(key), async () => {
    const before = await findSandbox(env, sandboxId).catch(() => undefined);
    if (before?.state === "paused") {
      // It was paused, and nobody booked that. The next claim resumes it on a hold of its own.
      const found = { endedAt: before.endAt, revision: claim.revision };
      await contexts.end(key, "paused", "found_paused", found);
      return undefined;
    }
    const told = await tellEnd(caller, key, sandboxId, claim).catch((error) => {
      throw sandboxError(error);
    });
    if (told === undefined) {
      await contexts.end(key, "terminated", "lost");
      return undefined;
    }
    const { answer, sandbox } = told;
    if (answer.outcome !== "ready") return undefined;
    if (!claim.is_extended) inBackground(confirmEnd(caller, key, sandboxId, claim));
    // What was reckoned with for the way here is not needed any more.
    const left = Math.max(env.e2bTimeoutMs - (performance.now() - askedAt), 0);
    if (Date.parse(answer.expires_at ?? "") < Date.parse(claim.in_use_until ?? "") - left) {
      throw lifeEnds(answer);
    }
    return toLive(answer, sandbox, claim);
  });
}

/**
 * Has E2B end a running sandbox no earlier than what is held, and makes sure where it was to end earlier: on the wire
 * one caller's time-out may overtake another's, and E2B cuts what is longer than its plan allows. Undefined: it is gone.
 */
async function tellEnd(
  caller: SandboxCaller,
  key: ContextKey,
  sandboxId: string,
  claim: ContextClaim,
): Promise<{ answer: ContextClaim; sandbox: Sandbox } | undefined> {
  let answer = claim;
  for (let attempt = 1; ; attempt++) {
    const timeoutMs = (answer.set_timeout_seconds ?? 1) * 1000;
    const sandbox = await connect(caller.env, sandboxId, key.contextId, timeoutMs);
    if (!sandbox) return undefined;
    if (!claim.is_extended) return { answer, sandbox };
    answer = await seenEnd(caller, key, sandboxId, answer);
    if (answer.outcome !== "ready" || !answer.is_extended || attempt === TELL_ATTEMPTS) {
      return { answer, sandbox };
    }
  }
}

/** What the database makes of E2B's words about a running sandbox; asked once more where they were old. */
async function seenEnd(
  { env, gate }: Pick<SandboxCaller, "env" | "gate">,
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

/**
 * Looks when E2B ends a running sandbox, and has it end later where somebody uses it for longer.
 * @returns whether it had to.
 */
export async function confirmEnd(
  caller: Pick<SandboxCaller, "env" | "gate">,
  key: ContextKey,
  sandboxId: string,
  known: Pick<ContextClaim, "revision">,
): Promise<boolean> {
  const answer = await seenEnd(caller, key, sandboxId, known);
  if (answer.outcome !== "ready" || !answer.is_extended) return false;
  const seconds = answer.set_timeout_seconds ?? 1;
  await connect(caller.env, sandboxId, key.contextId, seconds * 1000);
  await seenEnd(caller, key, sandboxId, answer);
  return true;
}

/** E2B ends it before the run could end, whatever it is told. */
function lifeEnds({ expires_at }: ContextClaim): SpendgateError {
  return new SpendgateError(
    "sandbox_life_ends",
    `E2B ends this sandbox at ${expires_at}, before the run could end: its plan allows no longer life in one go. ` +
      "Run something shorter, or leave it idle until it is paused: resumed, it lives anew.",
    { details: { expiresAt: expires_at } },
  );
}

/**
 * A run failed: when that was because its sandbox is no more, or was paused, its context ends or pauses too.
 * @returns whether it is no more.
 */
async function endIfGone(caller: SandboxCaller, live: LiveSandbox): Promise<boolean> {
  const { env } = caller;
  const contexts = new Contexts(caller.gate);
  const facts = await findSandbox(env, live.sandboxId).catch(() => null);
  if (facts === null || (facts && facts.state !== "paused")) return false;
  if (!facts && (await isStillThere(env, live.sandboxId, live.contextId))) return false;
  const ended = facts
    ? contexts.end(live, "paused", "found_paused", { endedAt: facts.endAt })
    : contexts.end(live, "terminated", "lost");
  await ended.catch((error) => log("error", "settle_failed", describeError(error)));
  return facts === undefined;
}

/** What a list of E2B's told before it ended, or was ended. */
export interface SandboxList {
  sandboxes: ListedSandbox[];
  /** False: there are more, or the server repeats itself. */
  isComplete: boolean;
  /** Of the page after the last one that was read; null after the last page of all. */
  nextToken: string | null;
}

/**
 * Sandboxes of this project, of one state or both; of one context, where it is named. Whoever asks acts on what it
 * is told: what E2B does not filter is filtered here.
 */
export async function listSandboxes(
  env: Env,
  {
    contextId,
    states = ["running", "paused"],
    maxPages = 1000,
    fromToken,
    untilMs = Number.POSITIVE_INFINITY,
  }: {
    contextId?: string;
    states?: ("running" | "paused")[];
    maxPages?: number;
    /** Of an earlier list. */
    fromToken?: string | null;
    /** No page is begun later, by performance.now(). */
    untilMs?: number;
  } = {},
): Promise<SandboxList> {
  const metadata = { spendgate: env.project, ...(contextId && { context_id: contextId }) };
  const pages = Sandbox.list({
    ...connection(env),
    query: { metadata, state: states },
    nextToken: fromToken ?? undefined,
  });
  const found = new Map<string, ListedSandbox>();
  const tokens = new Set<string | undefined>();
  try {
    for (let page = 0; pages.hasNext; page++) {
      const isRepeated = tokens.has(pages.nextToken);
      if (isRepeated) log("error", "sandbox_list_repeats", { pages: page });
      if (isRepeated || page >= maxPages || performance.now() > untilMs) break;
      tokens.add(pages.nextToken);
      for (const told of await pages.nextItems()) {
        const sandbox = readFacts(told);
        const isMeant =
          sandbox?.project === env.project &&
          (contextId === undefined || sandbox.contextId === contextId) &&
          (sandbox.state === null || states.includes(sandbox.state));
        if (sandbox && isMeant) found.set(sandbox.sandboxId, sandbox);
      }
    }
  } catch (error) {
    throw sandboxError(error);
  }
  const next = pages.hasNext ? pages.nextToken : undefined;
  const nextToken = next === undefined || tokens.has(next) ? null : next;
  return { sandboxes: [...found.values()], isComplete: !pages.hasNext, nextToken };
}

/**
 * The sandbox, or undefined when E2B does not know it.
 * @throws SpendgateError upstream_error; also when E2B answers another one.
 */
export async function findSandbox(env: Env, sandboxId: string): Promise<ListedSandbox | undefined> {
  try {
    const facts = readFactsOf(sandboxId, await Sandbox.getInfo(sandboxId, connection(env)));
    if (!facts) throw new AnotherSandbox("E2B described another sandbox than the one asked for");
    return facts;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw sandboxError(error);
  }
}

/** Whether a sandbox says itself that it is this project's: nothing is done to any other. */
export function isOurs(env: Env, sandbox: ListedSandbox): boolean {
  return sandbox.project === env.project;
}

/** False: it was gone already. */
export async function killSandbox(env: Env, sandboxId: string): Promise<boolean> {
  try {
    return await Sandbox.kill(sandboxId, connection(env));
  } catch (error) {
    if (isNotFound(error)) return false;
    throw sandboxError(error);
  }
}

/** False: it is gone. One that is paused already is paused. */
export async function pauseSandbox(env: Env, sandboxId: string): Promise<boolean> {
  try {
    await Sandbox.pause(sandboxId, connection(env));
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw sandboxError(error);
  }
}

const variables = z.object({
  E2B_API_KEY: z.string().min(1).optional(),
  E2B_API_URL: z.url().optional(),
  E2B_SANDBOX_URL: z.url().optional(),
  E2B_DOMAIN: z.string().min(1).optional(),
});
let settings: z.output<typeof variables> | undefined;

/** Whether there is a key for E2B. */
export function hasSandboxes(): boolean {
  settings ??= parseVariables(variables, Deno.env.toObject());
  return settings.E2B_API_KEY !== undefined;
}

/** @throws SpendgateError not_configured when there is no key. */
function connection(env: Env) {
  if (!hasSandboxes() || !settings) {
    throw new SpendgateError("not_configured", "Sandboxes are not set up: E2B_API_KEY is missing.");
  }
  return {
    apiKey: settings.E2B_API_KEY,
    apiUrl: settings.E2B_API_URL,
    sandboxUrl: settings.E2B_SANDBOX_URL,
    domain: settings.E2B_DOMAIN,
    requestTimeoutMs: env.e2bTimeoutMs,
    // The SDK would wait through a 429 while our caller's claim runs out; with E2B_DEBUG it would say "killed"
    // without asking.
    retries: 0,
    debug: false,
  };
}

/** Statuses that a gateway answers when it has waited for long enough: what it sent on may be done all the same. */
const MAY_BE_DONE = [408, 425, 499];

/** Whether E2B said no: then nothing was done. */
function isRefusal(error: unknown): boolean {
  const status = statusOf(error) ?? 0;
  return (
    error instanceof RateLimitError ||
    error instanceof InvalidArgumentError ||
    (status >= 400 && status < 500 && !MAY_BE_DONE.includes(status))
  );
}

function isNotFound(error: unknown): boolean {
  return statusOf(error) === 404;
}

/** E2B does not have it, or is killing it. */
function isGone(error: unknown): boolean {
  return [404, 409, 410].includes(statusOf(error) ?? 0);
}

/** What the gate says when it gives no answer, nothing was spent, is not true of a sandbox that runs or ran. */
function saying(message: string): (error: unknown) => never {
  return (error) => {
    const isSilent = error instanceof SpendgateError && error.code === "quota_unavailable";
    if (!isSilent) throw error;
    throw new SpendgateError("quota_unavailable", message, {
      retryAfter: error.retryAfter,
      cause: error.cause,
    });
  };
}

function noSandbox(stage: Stage): Promise<never> {
  const message = "There is no such sandbox, or it has ended.";
  return failAt(stage, new SpendgateError("not_found", message));
}

function busy(stage: Stage, message = "The sandbox is being started. Try again."): Promise<never> {
  return failAt(stage, new SpendgateError("sandbox_busy", message, { retryAfter: 2 }));
}

function failAt(stage: Stage, error: SpendgateError): Promise<never> {
  return atStage(stage, {}, () => Promise.reject(error));
}

/** A claim lasts longer than E2B may take to start a sandbox and to describe it. */
function claimSeconds(env: Env): number {
  return Math.ceil((2 * env.e2bTimeoutMs) / 1000) + 10;
}

/** How long a run may use its sandbox: on the way to it, until its first word, and while it runs. */
function secondsOf(run: CodeRun, env: Env): number {
  return run.seconds + Math.ceil((2 * env.e2bTimeoutMs) / 1000);
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function keyOf(claim: ContextClaim): ContextKey {
  return { tenantId: claim.tenant_id as string, contextId: claim.context_id as string };
}

function attributesOf({ tenantId, contextId }: ContextKey) {
  return { tenantId, contextId };
}

/** `claim` is what this request was given, `answer` what is known since. */
function toLive(answer: ContextClaim, sandbox: Sandbox, claim: ContextClaim): LiveSandbox {
  return {
    ...keyOf(answer),
    conversationId: answer.conversation_id as string,
    pathId: answer.path_id,
    template: answer.template as string,
    sandboxId: sandbox.sandboxId,
    isNew: claim.outcome === "create",
    startedAt: answer.started_at as string,
    expiresAt: answer.expires_at as string,
    run: claim.runs ?? 0,
    sandbox,
  };
}
