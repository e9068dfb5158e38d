// Tools that a chat may name. Each runs here; what it spends goes through the gate like everything else.
import { type ToolSet, tool } from "ai";
import * as z from "zod";
import { invalidRequest, SpendgateError } from "../_shared/errors.ts";
import type { Metering } from "../_shared/gate/metering.ts";
import { SPANS } from "../_shared/runtime/telemetry/names.ts";
import { inSpan } from "../_shared/runtime/telemetry/spans.ts";
import { type RunResult, runInConversation } from "../_shared/sandbox/metered_sandbox.ts";

/** Bytes of a run's output that a model is shown: it reads, and pays for, every one of them. */
const TOOL_OUTPUT_BYTES = 20_000;

const TOOLS = {
  current_time: () =>
    tool({
      description: "The current date and time in a time zone.",
      inputSchema: z.object({
        timeZone: z.string().describe("IANA name, such as Europe/Dublin").default("UTC"),
      }),
      execute: ({ timeZone }) => ({
        time: new Date().toLocaleString("en-GB", {
          timeZone,
          dateStyle: "full",
          timeStyle: "long",
        }),
      }),
    }),

  /** Runs in the sandbox of the conversation's path; what the gate refuses is an error that the model reads. */
  run_code: (metering: Metering) => {
    const { env, conversationId, pathId } = metering;
    if (!conversationId) {
      throw invalidRequest([
        { path: "conversationId", message: "Name the conversation whose sandbox runs the code." },
      ]);
    }
    return tool({
      description:
        "Runs code in the conversation's sandbox and answers what it prints and what its last expression gives. " +
        `Variables and files are kept from one run to the next. You read at most ${TOOL_OUTPUT_BYTES} bytes of text: ` +
        "print what you need, and write the rest to a file. Charts are not shown to you.",
      inputSchema: z.object({
        code: z.string().min(1).max(env.maxCodeBytes),
        language: z.enum(["python", "javascript", "typescript"]).default("python"),
      }),
      execute: async ({ code, language }) => {
        const run = {
          ...{ code, language, seconds: env.runSeconds, maxBytes: env.maxOutputBytes },
          ...{ shownBytes: TOOL_OUTPUT_BYTES, textOnly: true },
        };
        const result = await runInConversation(metering, { conversationId, pathId }, run).catch(
          (error) => Promise.reject(forModel(error)),
        );
        return shownToModel(result);
      },
    });
  },
} satisfies Record<string, (metering: Metering) => ToolSet[string]>;

/** What became of the interpreter, where it is not as it was. */
const STATES: Record<string, string> = {
  restarted: "It could only be stopped by a restart: all variables are gone, files are there.",
  unknown: "It is not known whether the code ran, or still runs: look before you run it again.",
  lost: "All variables and files are lost; the next run begins in a new sandbox.",
};

function shownToModel({ state, ...result }: RunResult) {
  return {
    ...result,
    results: result.results.map(({ text }) => text ?? "(no text)"),
    ...(state && { state: STATES[state] }),
  };
}

/** The error with what a model has to know to go on: it reads the message alone. */
function forModel(error: unknown): unknown {
  if (!(error instanceof SpendgateError)) return error;
  const { stage, state, output } = error.details as {
    stage?: string;
    state?: string;
    output?: RunResult;
  };
  const words = [
    error.message,
    stage && `Stage: ${stage}.`,
    state && STATES[state],
    adviceOn(error),
    output && hasOutput(output) && `Until then: ${JSON.stringify(shownToModel(output))}`,
  ];
  return new SpendgateError(error.code, words.filter(Boolean).join(" "), {
    details: error.details,
    status: error.status,
    retryAfter: error.retryAfter,
    headers: error.headers,
    mayRetry: error.mayRetry,
    quotaId: error.quotaId,
    cause: error.cause ?? error,
  });
}

function adviceOn({ retryAfter, mayRetry }: SpendgateError): string | undefined {
  if (retryAfter !== undefined) return `Do not try again before ${retryAfter} s have passed.`;
  return mayRetry ? undefined : "Trying again does not help.";
}

function hasOutput({ stdout, stderr, results }: RunResult): boolean {
  return stdout !== "" || stderr !== "" || results.length > 0;
}

export type ToolName = keyof typeof TOOLS;
export const TOOL_NAMES = Object.keys(TOOLS) as [ToolName, ...ToolName[]];

/** @throws SpendgateError invalid_request when a tool needs what the request does not say. */
export function toolsNamed(names: ToolName[], metering: Metering): ToolSet {
  return Object.fromEntries(
    names.map((name) => [name, traced(name, TOOLS[name](metering), metering)]),
  );
}

/** The tool, each use of which is a span of the step that asks for it. */
function traced(name: ToolName, used: ToolSet[string], metering: Metering): ToolSet[string] {
  const { execute } = used;
  if (!execute) return used;
  return {
    ...used,
    execute: (...given: Parameters<typeof execute>) => {
      const attributes = { operation: "execute_tool", tool: name, toolCall: given[1].toolCallId };
      return inSpan(
        SPANS.tool.replace("{tool}", name),
        { parent: metering.trace, attributes },
        async () => execute(...given),
      );
    },
  };
}
