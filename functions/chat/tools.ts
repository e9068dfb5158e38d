// Tools that a chat may name. Each runs here; what it spends goes through the gate like everything else.
import { type ToolSet, tool } from "ai";
import { z } from "zod";

const TOOLS = {
  current_time: tool({
    description: "The current date and time in a time zone.",
    inputSchema: z.object({
      timeZone: z.string().describe("IANA name, such as Europe/Dublin").default("UTC"),
    }),
    execute: ({ timeZone }) => ({
      time: new Date().toLocaleString("en-GB", { timeZone, dateStyle: "full", timeStyle: "long" }),
    }),
  }),
};

export type ToolName = keyof typeof TOOLS;
export const TOOL_NAMES = Object.keys(TOOLS) as [ToolName, ...ToolName[]];

export function toolsNamed(names: ToolName[]): ToolSet {
  return Object.fromEntries(names.map((name) => [name, TOOLS[name]]));
}
