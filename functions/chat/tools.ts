// Tools that a chat may name. Each runs here; what it spends goes through the gate like everything else.
import { type ToolSet, tool } from "ai";
import { z } from "zod";
import { invalidRequest } from "../_shared/errors.ts";
import type { Metering } from "../_shared/gate/metering.ts";
import { runInConversation } from "../_shared/sandbox/metered_sandbox.ts";

/** Bytes that a run may print for a model: it reads, and pays for, every one of them. */
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
        "Variables and files are kept from one run to the next.",
      inputSchema: z.object({
        code: z.string().min(1).max(env.maxCodeBytes),
        language: z.enum(["python", "javascript", "typescript"]).default("python"),
      }),
      execute: async ({ code, language }) => {
        const run = { code, language, seconds: env.runSeconds, maxBytes: TOOL_OUTPUT_BYTES };
        const result = await runInConversation(metering, { conversationId, pathId }, run);
        return { ...result, results: result.results.map(({ text }) => text) };
      },
    });
  },
} satisfies Record<string, (metering: Metering) => ToolSet[string]>;

export type ToolName = keyof typeof TOOLS;
export const TOOL_NAMES = Object.keys(TOOLS) as [ToolName, ...ToolName[]];

/** @throws SpendgateError invalid_request when a tool needs what the request does not say. */
export function toolsNamed(names: ToolName[], metering: Metering): ToolSet {
  return Object.fromEntries(names.map((name) => [name, TOOLS[name](metering)]));
}
