// The one door to E2B: every second of a sandbox that is started from here is held before and booked after.
// No other module may import its SDKs or read its key; a check in CI says so.
import { Sandbox } from "@e2b/code-interpreter";
import {
  AuthenticationError,
  InvalidArgumentError,
  NotFoundError,
  RateLimitError,
  SandboxError,
} from "e2b";
import { z } from "zod";
import { SpendgateError } from "../errors.ts";
import type { Gate } from "../gate/gate.ts";
import type { Metering } from "../gate/metering.ts";
import { quotaExceeded } from "../gate/quota_exceeded.ts";
import { recordRefusal } from "../gate/refusal.ts";
import { type Env, parseVariables } from "../runtime/env.ts";
import { sendAllOnce } from "../runtime/fetch_once.ts";
import { describeError, log } from "../runtime/log.ts";
import { type ContextClaim, type ContextKey, Contexts, type SandboxFacts } from "./contexts.ts";
import { noteRetryAfter, sandboxError } from "./error.ts";
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
  /** When the last run that was admitted has ended at the latest. */
  inUseUntil: string | null;
  sandbox: Sandbox;
}

/** Connecting tells E2B a time-out, which only ever lengthens the one that runs: one that is paid for already. */
const RECONNECT_MS = 1000;
const RESUME_ATTEMPTS = 2;
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

/** Whether another run has come to the sandbox since: each puts off the end of its use. */
async function isUsedSince(caller: SandboxCaller, live: LiveSandbox): Promise<boolean> {
  if (!live.inUseUntil) return false;
  const found = await new Contexts(caller.gate).find(live.contextId, caller.userId);
  return Date.parse(found?.in_use_until ?? "") > Date.parse(live.inUseUntil);
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
  const { sandbox_id: sandboxId, status } = context;
  if (status === "creating" || sandboxId === null) return busy("terminate");
  const key = { tenantId: context.tenant_id, contextId };
  const killed = await atStage("terminate", { ...attributesOf(key), sandboxId }, () =>
    killSandbox(caller.env, sandboxId),
  );
  const endedAt = killed ? new Date() : undefined;
  await atStage("settle", { ...attributesOf(key), sandboxId }, () =>
    contexts
      .end(key, "terminated", "killed", { endedAt })
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
    if (claim.outcome === "gone") return noSandbox("connect");
    if (claim.outcome === "refused") await refuse(caller, claim);
    if (claim.outcome === "wait") {
      if (Date.now() >= deadline) break;
      await new Promise((resolve) => setTimeout(resolve, Math.min(100 * 1.5 ** waits++, 1000)));
      continue;
    }
    const live =
      claim.outcome === "ready"
        ? await reconnect(caller, claim)
        : await start(caller, claim, claimId);
    if (live) return live;
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
    const before = new Date();
    let sandbox: Sandbox;
    try {
      sandbox = claim.sandbox_id
        ? await resume(caller.env, claim.sandbox_id, timeoutMs)
        : await create(caller.env, claim, claimId, timeoutMs);
    } catch (error) {
      const isGone = claim.sandbox_id !== null && error instanceof NotFoundError;
      const outcome = isGone ? "failed" : startOutcome(claim, error);
      // Where this is lost too, the claim expires, and reconciliation finds out.
      if (outcome) await contexts.fail(key, claimId, outcome, "start_failed").catch(() => {});
      if (isGone) return undefined;
      throw sandboxError(error);
    }
    const assumed = {
      sandboxId: sandbox.sandboxId,
      startedAt: before,
      endAt: new Date(Date.now() + timeoutMs),
      vcpus: null,
      memoryGib: null,
    };
    const facts =
      (await findSandbox(caller.env, sandbox.sandboxId).catch(() => undefined)) ?? assumed;
    // When this gives no answer the sandbox goes on: killed, nobody would know what it ran. Reconciliation ends it.
    const status = await contexts
      .confirm(key, claimId, facts)
      .catch(saying("The database does not answer; the sandbox is ended and booked later."));
    if (status === "running") return toLive(claim, sandbox, facts, claim.outcome === "create");
    await killSandbox(caller.env, sandbox.sandboxId);
    await contexts.end(key, "failed", "claim_lost", {
      startedAt: facts.startedAt,
      endedAt: new Date(),
    });
    return undefined;
  });
}

/** What a start that failed leaves behind; undefined: a resume whose claim the next caller takes over. */
function startOutcome(
  claim: ContextClaim,
  error: unknown,
): "failed" | "paused" | "unknown" | undefined {
  if (isRefusal(error)) return claim.sandbox_id ? "paused" : "failed";
  return claim.sandbox_id ? undefined : "unknown";
}

function create(
  env: Env,
  claim: ContextClaim,
  claimId: string,
  timeoutMs: number,
): Promise<Sandbox> {
  const template = claim.template ?? env.sandboxTemplate;
  return Sandbox.create(template, {
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
}

/** Resuming twice is resuming once. */
async function resume(env: Env, sandboxId: string, timeoutMs: number): Promise<Sandbox> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await Sandbox.connect(sandboxId, { ...connection(env), timeoutMs });
    } catch (error) {
      if (isRefusal(error) || attempt === RESUME_ATTEMPTS) throw error;
    }
  }
}

/** Connects to a sandbox that runs; where more of its time was held, tells E2B. Undefined when it is gone. */
async function reconnect(
  caller: SandboxCaller,
  claim: ContextClaim,
): Promise<LiveSandbox | undefined> {
  const contexts = new Contexts(caller.gate);
  const key = keyOf(claim);
  const sandboxId = claim.sandbox_id as string;
  const options = connection(caller.env);
  const unlessGone = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw sandboxError(error);
      await contexts.end(key, "terminated", "lost");
    }
  };
  const sandbox = await atStage("connect", attributesOf(key), () =>
    unlessGone(() => Sandbox.connect(sandboxId, { ...options, timeoutMs: RECONNECT_MS })),
  );
  if (!sandbox) return undefined;
  const seconds = claim.set_timeout_seconds;
  if (seconds === null) return toLive(claim, sandbox, undefined, false);

  return atStage("extend", attributesOf(key), async () => {
    const extended = await unlessGone(async () => {
      await Sandbox.setTimeout(sandboxId, seconds * 1000, options);
      return true;
    });
    if (!extended) return undefined;
    const facts = await findSandbox(caller.env, sandboxId).catch(() => undefined);
    if (facts) await contexts.confirm(key, crypto.randomUUID(), facts);
    return toLive(claim, sandbox, facts, false);
  });
}

/** A run failed: when that was because its sandbox is no more, its context ends too. True: it is no more. */
async function endIfGone(caller: SandboxCaller, live: LiveSandbox): Promise<boolean> {
  const facts = await findSandbox(caller.env, live.sandboxId).catch(() => null);
  if (facts !== undefined) return false;
  await new Contexts(caller.gate)
    .end(live, "terminated", "lost")
    .catch((error) => log("error", "settle_failed", describeError(error)));
  return true;
}

/** A sandbox as E2B describes it. */
export interface ListedSandbox extends SandboxFacts {
  state: "running" | "paused";
  template: string;
  tenantId?: string;
  contextId?: string;
  conversationId?: string;
  pathId?: string;
}

/** Sandboxes of this project, running and paused; of one context, where it is named. */
export async function listSandboxes(env: Env, contextId?: string): Promise<ListedSandbox[]> {
  const metadata = { spendgate: env.project, ...(contextId && { context_id: contextId }) };
  const pages = Sandbox.list({
    ...connection(env),
    query: { metadata, state: ["running", "paused"] },
  });
  const listed: ListedSandbox[] = [];
  try {
    while (pages.hasNext) listed.push(...(await pages.nextItems()).map(toListed));
    return listed;
  } catch (error) {
    throw sandboxError(error);
  }
}

/** The sandbox, or undefined when E2B does not know it. */
export async function findSandbox(env: Env, sandboxId: string): Promise<ListedSandbox | undefined> {
  try {
    return toListed(await Sandbox.getInfo(sandboxId, connection(env)));
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw sandboxError(error);
  }
}

/** False: it was gone already. */
export async function killSandbox(env: Env, sandboxId: string): Promise<boolean> {
  try {
    return await Sandbox.kill(sandboxId, connection(env));
  } catch (error) {
    throw sandboxError(error);
  }
}

/** False: it is gone. One that is paused already is paused. */
export async function pauseSandbox(env: Env, sandboxId: string): Promise<boolean> {
  try {
    await Sandbox.pause(sandboxId, connection(env));
    return true;
  } catch (error) {
    if (error instanceof NotFoundError) return false;
    throw sandboxError(error);
  }
}

function toListed(info: Awaited<ReturnType<typeof Sandbox.getInfo>>): ListedSandbox {
  const { metadata } = info;
  return {
    sandboxId: info.sandboxId,
    state: info.state,
    startedAt: info.startedAt,
    endAt: info.endAt,
    vcpus: info.cpuCount,
    memoryGib: info.memoryMB / 1024,
    template: metadata.template ?? info.templateId,
    tenantId: metadata.tenant_id,
    contextId: metadata.context_id,
    conversationId: metadata.conversation_id,
    pathId: metadata.path_id,
  };
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

/** Whether E2B said no: then nothing was done. */
function isRefusal(error: unknown): boolean {
  const status = error instanceof SandboxError ? (error as { statusCode?: number }).statusCode : 0;
  return (
    error instanceof AuthenticationError ||
    error instanceof RateLimitError ||
    error instanceof InvalidArgumentError ||
    error instanceof NotFoundError ||
    (status !== undefined && status >= 400 && status < 500)
  );
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

/** Seconds for which a run wants its sandbox: until it is heard of, and then its own. */
function secondsOf(run: CodeRun, env: Env): number {
  return run.seconds + Math.ceil(env.e2bTimeoutMs / 1000);
}

function keyOf(claim: ContextClaim): ContextKey {
  return { tenantId: claim.tenant_id as string, contextId: claim.context_id as string };
}

function attributesOf({ tenantId, contextId }: ContextKey) {
  return { tenantId, contextId };
}

function toLive(
  claim: ContextClaim,
  sandbox: Sandbox,
  facts: SandboxFacts | undefined,
  isNew: boolean,
): LiveSandbox {
  return {
    ...keyOf(claim),
    conversationId: claim.conversation_id as string,
    pathId: claim.path_id,
    template: claim.template as string,
    sandboxId: sandbox.sandboxId,
    isNew,
    startedAt: facts?.startedAt.toISOString() ?? (claim.started_at as string),
    expiresAt: facts?.endAt.toISOString() ?? (claim.expires_at as string),
    inUseUntil: claim.in_use_until ?? null,
    sandbox,
  };
}
