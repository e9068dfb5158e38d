// The code interpreter inside a sandbox: an HTTP server on port 49999. Its SDK reads an answer to its end, whatever comes,
// and cannot be stopped; so it is spoken to here: https://github.com/e2b-dev/code-interpreter, template/server/main.py.
//
// It runs one code at a time in each language. Closing the connection interrupts the code, where that is noticed: not
// behind HTTP/2, and not by every version. Then its context is restarted, which takes the variables along.
import * as z from "zod";
import { fetchOnce } from "../runtime/fetch_once.ts";
import { describeError, log } from "../runtime/log.ts";
import { stopAtWorkerEnd } from "../runtime/worker_end.ts";
import { InterpreterRefusal, InterpreterTimeout } from "./error.ts";
import { type InterpreterState, RunOutput } from "./run_output.ts";

/** Where the interpreter of a sandbox is, and what it lets in. */
export interface Interpreter {
  sandboxId: string;
  url: string;
  headers: Record<string, string>;
}

export interface InterpreterRun {
  code: string;
  language: string;
  /** Seconds that the code may take. */
  seconds: number;
  /** Milliseconds within which the interpreter must answer at all. */
  answerMs: number;
  /** Aborted when nobody waits for the output any more. */
  gone?: AbortSignal;
  /** Whether a run of another worker has come to the same sandbox since. */
  isShared: () => Promise<boolean>;
}

/** How a run came to its end; `waited`: for its whole time, behind another one. */
export type Ending = "ended" | "over_limit" | "timeout" | "waited" | "gone";

export interface Ended {
  ending: Ending;
  state?: InterpreterState;
}

/** What interrupts the code has this long to take effect. */
const INTERRUPT_MS = 600;
/** After the code has ended the answer is read to its own end for so long: its connection serves the next run then. */
const LAST_MS = 50;
/** Restarting a context has so long. */
const RESTART_MS = 5000;
const ANSWER_BYTES = 10_000;
const PORT = "49999";

const contextList = z.array(z.object({ id: z.string(), language: z.string() }));

/** Code that does nothing, in the languages that have no empty program. */
const NOTHING: Record<string, string> = { python: "pass", javascript: "void 0", r: "invisible(0)" };

/** Runs under way in this worker, and interpreters that are being stopped, by sandbox and language. */
const running = new Map<string, Set<RunOutput>>();
const stopping = new Map<string, Promise<unknown>>();
/** Interpreters of which nobody knows whether they still run something: a connection broke. */
const doubtful = new Set<string>();

/** Where the interpreter of an SDK's sandbox is. */
export function interpreterOf(sandbox: { sandboxId: string }): Interpreter {
  // The SDK knows, and does not tell.
  const { jupyterUrl, envdAccessToken, trafficAccessToken } = sandbox as unknown as Record<
    string,
    string | undefined
  >;
  return {
    sandboxId: sandbox.sandboxId,
    url: jupyterUrl as string,
    headers: {
      "Content-Type": "application/json",
      "E2b-Sandbox-Id": sandbox.sandboxId,
      "E2b-Sandbox-Port": PORT,
      ...(envdAccessToken && { "X-Access-Token": envdAccessToken }),
      ...(trafficAccessToken && { "E2B-Traffic-Access-Token": trafficAccessToken }),
    },
  };
}

/**
 * Runs code, once, and puts what it prints into `output`. A run that ends before its code does is stopped there, so that
 * the next one can begin at once.
 * @throws InterpreterRefusal, InterpreterTimeout, BrokenLine, or what `fetch` throws.
 */
export async function runCode(
  interpreter: Interpreter,
  run: InterpreterRun,
  output: RunOutput,
): Promise<Ended> {
  const key = `${interpreter.sandboxId} ${run.language}`;
  const mustAnswerBy = performance.now() + run.answerMs;
  // A restart that an earlier run made necessary took the variables of this one.
  const before = (await isReady(interpreter, run, key)) === "restarted" ? "restarted" : undefined;
  if (run.gone?.aborted) return { ending: "gone" };
  const runs = running.get(key) ?? new Set();
  running.set(key, runs.add(output));
  try {
    const ending = await send(interpreter, run, output, mustAnswerBy);
    if (ending === "ended") return { ending, state: before };
    if (ending === "timeout" && !output.hasBegun && (runs.size > 1 || (await run.isShared()))) {
      return { ending: "waited" };
    }
    runs.delete(output);
    return { ending, state: (await stop(interpreter, run, key)) ?? before };
  } catch (error) {
    // What was refused has not begun.
    if (!(error instanceof InterpreterRefusal)) doubtful.add(key);
    throw error;
  } finally {
    runs.delete(output);
    if (runs.size === 0 && running.get(key) === runs) running.delete(key);
  }
}

/** The interpreter is being stopped, or may have to be: a run that came before that would end with the stopped one. */
async function isReady(
  interpreter: Interpreter,
  run: InterpreterRun,
  key: string,
): Promise<InterpreterState | undefined> {
  await stopping.get(key);
  return doubtful.delete(key) ? stop(interpreter, run, key) : undefined;
}

/** Sends the code and reads the answer, up to whichever end comes first. */
async function send(
  interpreter: Interpreter,
  run: InterpreterRun,
  output: RunOutput,
  mustAnswerBy: number,
): Promise<Ending> {
  const abort = new AbortController();
  type Reason = Ending | "unanswered";
  // Why it was aborted, where it was.
  let ending = "ended" as Reason;
  const end = (reason: Reason) => {
    if (abort.signal.aborted) return;
    ending = reason;
    abort.abort();
  };
  const leave = () => end("gone");
  const forget = stopAtWorkerEnd(leave);
  run.gone?.addEventListener("abort", leave);
  let timer = setTimeout(end, mustAnswerBy - performance.now(), "unanswered");
  const within = (ms: number, reason: Reason) => {
    clearTimeout(timer);
    timer = setTimeout(end, ms, reason);
  };
  try {
    const { code, language } = run;
    const response = await post(interpreter, "/execute", { code, language }, abort.signal);
    if (!response.ok) throw await refusalOf(response);
    within(run.seconds * 1000, "timeout");
    for await (const chunk of response.body ?? []) {
      if (output.hasEnded || output.push(chunk)) continue;
      if (!output.hasEnded) {
        end("over_limit");
        break;
      }
      within(LAST_MS, "ended");
    }
    if (!abort.signal.aborted) output.finish();
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    if (ending === "unanswered") throw new InterpreterTimeout("The interpreter gave no answer.");
  } finally {
    clearTimeout(timer);
    run.gone?.removeEventListener("abort", leave);
    forget();
    abort.abort();
  }
  return output.hasEnded ? "ended" : (ending as Ending);
}

/**
 * Sees to it that the interpreter can run the next code. Its connection is closed: where that has not interrupted the code,
 * the context is restarted, unless it is another run that the interpreter is busy with.
 */
function stop(
  interpreter: Interpreter,
  run: InterpreterRun,
  key: string,
): Promise<InterpreterState | undefined> {
  const hasOther = () => [...(running.get(key) ?? [])].some(({ hasBegun }) => hasBegun);
  const work = async (): Promise<InterpreterState | undefined> => {
    if (await isFree(interpreter, run)) return undefined;
    if (hasOther() || (await run.isShared())) return undefined;
    return (await restart(interpreter, run)) ? "restarted" : "unknown";
  };
  const stopped = work().catch((error): InterpreterState => {
    log("error", "run_not_stopped", { sandboxId: interpreter.sandboxId, ...describeError(error) });
    return "unknown";
  });
  stopping.set(key, stopped);
  return stopped.finally(() => {
    if (stopping.get(key) === stopped) stopping.delete(key);
  });
}

/** Whether the interpreter begins with other code: something that does nothing. */
async function isFree(interpreter: Interpreter, { language }: InterpreterRun): Promise<boolean> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), INTERRUPT_MS);
  try {
    const body = { code: NOTHING[language] ?? "", language };
    const response = await post(interpreter, "/execute", body, abort.signal);
    if (!response.ok) throw await refusalOf(response);
    const output = new RunOutput({ maxBytes: ANSWER_BYTES });
    for await (const chunk of response.body ?? []) {
      output.push(chunk);
      if (output.hasBegun || output.hasEnded) break;
    }
    return true;
  } catch (error) {
    if (abort.signal.aborted) return false;
    throw error;
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

/** Restarts what runs the language; false when there is nothing to restart. */
async function restart(interpreter: Interpreter, run: InterpreterRun): Promise<boolean> {
  const signal = AbortSignal.timeout(Math.min(run.answerMs, RESTART_MS));
  const listed = await request(interpreter, "/contexts", { method: "GET", signal });
  if (!listed.ok) throw await refusalOf(listed);
  const contexts = contextList.parse(JSON.parse(await readStart(listed)));
  const ids = contexts.flatMap(({ id, language }) =>
    language.toLowerCase() === run.language ? [encodeURIComponent(id)] : [],
  );
  for (const id of ids) {
    const response = await post(interpreter, `/contexts/${id}/restart`, {}, signal);
    if (!response.ok) throw await refusalOf(response);
    await response.body?.cancel();
  }
  return ids.length > 0;
}

function post(interpreter: Interpreter, path: string, body: unknown, signal: AbortSignal) {
  return request(interpreter, path, { method: "POST", body: JSON.stringify(body), signal });
}

function request({ url, headers }: Interpreter, path: string, init: RequestInit) {
  return fetchOnce(`${url}${path}`, { ...init, headers, ...client() });
}

async function refusalOf(response: Response): Promise<InterpreterRefusal> {
  const retryAfter = response.headers.get("retry-after");
  return new InterpreterRefusal(response.status, await readStart(response), retryAfter);
}

/** The answer, or the beginning of one that is longer than any should be: it comes from inside the sandbox. */
async function readStart(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > ANSWER_BYTES) break;
  }
  return text;
}

/** HTTP/1.1, where the runtime has a choice: there, closing a connection is noticed inside the sandbox. */
const client = once(() => {
  const { Deno } = globalThis as unknown as {
    Deno?: { createHttpClient?: (options: { http2: boolean }) => unknown };
  };
  const createHttpClient = Deno?.createHttpClient;
  try {
    return createHttpClient ? { client: createHttpClient({ http2: false }) } : {};
  } catch {
    return {};
  }
});

function once<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
