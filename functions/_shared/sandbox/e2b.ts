// The one door to E2B: no other module may import its SDKs or read its key, and no other room this one; a check in CI
// says so. What is called here is held before and booked after by the modules above it. Its SDK is loaded by the first call.
import type { Sandbox } from "@e2b/code-interpreter";
import { SpendgateError } from "../errors.ts";
import { type Env, expectRight, logProblems, notConfigured } from "../runtime/env.ts";
import { environment } from "../runtime/environment.ts";
import { sendAllOnce } from "../runtime/fetch_once.ts";
import { log } from "../runtime/log.ts";
import { E2B, readSettings } from "../runtime/settings.ts";
import { sleep } from "../runtime/sleep.ts";
import type { ContextClaim } from "./contexts.ts";
import { isE2bRefusal, isGone, isNotFound, noteRetryAfter, sandboxError } from "./error.ts";
import { type ListedSandbox, readFacts, readFactsOf } from "./facts.ts";

export type { Sandbox } from "@e2b/code-interpreter";

// A sandbox that is started twice is paid twice.
sendAllOnce(noteRetryAfter);

/** How often E2B is asked for a sandbox that it may not have. */
const CONNECT_ATTEMPTS = 3;
/** Milliseconds before E2B is asked again for what it says that it does not have. */
const DOUBT_MS = 300;

async function loadSandbox() {
  return (await import("@e2b/code-interpreter")).Sandbox;
}

let read: ReturnType<typeof readSettings<typeof E2B>> | undefined;

function settings() {
  if (read === undefined) {
    read = readSettings(E2B, environment());
    logProblems(read.problems);
  }
  return read;
}

/** Whether there is a key for E2B. */
export function hasSandboxes(): boolean {
  return settings().values.E2B_API_KEY !== undefined;
}

/** @throws SpendgateError not_configured when there is no key, or a setting is wrong. */
export function expectSandboxes(): void {
  const { values, problems } = settings();
  if (!values.E2B_API_KEY) throw notConfigured("Sandboxes are not set up: E2B_API_KEY is missing.");
  expectRight(problems, Object.keys(E2B));
}

function connection(env: Env) {
  expectSandboxes();
  const { values } = settings();
  return {
    apiKey: values.E2B_API_KEY,
    apiUrl: values.E2B_API_URL,
    sandboxUrl: values.E2B_SANDBOX_URL,
    domain: values.E2B_DOMAIN,
    requestTimeoutMs: env.e2bTimeoutMs,
    // The SDK would wait through a 429 while our caller's claim runs out; with E2B_DEBUG it would say "killed"
    // without asking.
    retries: 0,
    debug: false,
  };
}

export async function createSandbox(
  env: Env,
  claim: ContextClaim,
  claimId: string,
  timeoutMs: number,
): Promise<Sandbox> {
  const template = claim.template ?? env.sandboxTemplate;
  const Sandbox = await loadSandbox();
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

/** Connects, and takes only an answer that names the sandbox which was asked for. */
async function connectTo(
  sandboxId: string,
  options: ReturnType<typeof connection> & { timeoutMs: number },
): Promise<Sandbox> {
  const Sandbox = await loadSandbox();
  // The SDK keeps both to itself and its heirs.
  class Connected extends Sandbox {
    static async to(): Promise<Sandbox> {
      const answer = await Sandbox.connectSandbox(sandboxId, options);
      if (answer.sandboxId !== sandboxId) {
        log("error", "sandbox_id_differs", { sandboxId, answered: String(answer.sandboxId) });
        throw new AnotherSandbox(
          "E2B connected to another sandbox than the one that was asked for",
        );
      }
      return new Sandbox({ ...answer, ...options, sandboxId });
    }
  }
  return Connected.to();
}

class AnotherSandbox extends Error {}

/**
 * Connects to a sandbox, and resumes it where it is paused, so that E2B ends it no earlier than `timeoutMs` from now.
 * Twice is once, so what gives no answer is asked again. Undefined: E2B does not have it any more.
 * @throws what E2B's client throws; SpendgateError upstream_error where E2B has it by one answer and not by another.
 */
export async function connectSandbox(
  env: Env,
  sandboxId: string,
  contextId: string,
  timeoutMs: number,
): Promise<Sandbox | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await connectTo(sandboxId, { ...connection(env), timeoutMs });
    } catch (error) {
      const isInDoubt = isGone(error);
      if (isInDoubt && !(await isStillThere(env, sandboxId, contextId))) return undefined;
      const isFinal = error instanceof AnotherSandbox || (isE2bRefusal(error) && !isInDoubt);
      if (isFinal) throw error;
      if (attempt === CONNECT_ATTEMPTS) throw isInDoubt ? contradiction(error) : error;
      if (isInDoubt) await sleep(DOUBT_MS * attempt);
    }
  }
}

/** E2B has a sandbox, or does not say that it has not, and does not connect to it: not for good, as of one that it never had. */
function contradiction(error: unknown): SpendgateError {
  const message = "E2B contradicts itself about whether it has this sandbox. Try again.";
  const { details, retryAfter } = sandboxError(error);
  return new SpendgateError("upstream_error", message, {
    details,
    retryAfter,
    mayRetry: true,
    cause: error,
  });
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

/**
 * The sandbox, or undefined when E2B does not know it.
 * @throws SpendgateError upstream_error; also when E2B answers another one.
 */
export async function findSandbox(env: Env, sandboxId: string): Promise<ListedSandbox | undefined> {
  try {
    const Sandbox = await loadSandbox();
    const facts = readFactsOf(sandboxId, await Sandbox.getInfo(sandboxId, connection(env)));
    if (!facts) throw new AnotherSandbox("E2B described another sandbox than the one asked for");
    return facts;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw sandboxError(error);
  }
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
  const Sandbox = await loadSandbox();
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

/** Whether a sandbox says itself that it is this project's: nothing is done to any other. */
export function isOurs(env: Env, sandbox: ListedSandbox): boolean {
  return sandbox.project === env.project;
}

/** False: it was gone already. */
export async function killSandbox(env: Env, sandboxId: string): Promise<boolean> {
  try {
    const Sandbox = await loadSandbox();
    return await Sandbox.kill(sandboxId, connection(env));
  } catch (error) {
    if (isNotFound(error)) return false;
    throw sandboxError(error);
  }
}

/** False: it is gone. One that is paused already is paused. */
export async function pauseSandbox(env: Env, sandboxId: string): Promise<boolean> {
  try {
    const Sandbox = await loadSandbox();
    await Sandbox.pause(sandboxId, connection(env));
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw sandboxError(error);
  }
}
