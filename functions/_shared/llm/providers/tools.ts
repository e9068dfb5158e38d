// Tools that a provider defines. Some only have a schema that models know, and run here; others run at the provider,
// cost something of their own, and put what they find into the prompt.
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { invalidRequest } from "../../errors.ts";

type Tool = NonNullable<LanguageModelV4CallOptions["tools"]>[number];

/** What a call's tools may use, beyond what their definitions say. */
export interface ToolsBound {
  /** Tools whose definition is known to the model, and is longer than what is sent. */
  known: number;
  /** Searches that the provider may make. */
  searches: number;
}

/** They are run by the caller. */
const RUN_HERE =
  /^(anthropic\.(bash|text_editor|memory|computer|computer_toolset)_\d{8}|openai\.(apply_patch|custom|local_shell))$/;

/** Google names no most: more than this in one call has not been seen. */
const GOOGLE_SEARCHES = 10;

/** How many searches a tool can make in one call; undefined where the caller has to say so, and has not. */
const SEARCHES: [RegExp, (tool: ProviderTool, options: CallLimits) => unknown, string][] = [
  [/^anthropic\.web_search_\d{8}$/, ({ args }) => args.maxUses, "its maxUses"],
  [
    /^openai\.web_search(_preview)?$/,
    (_, { maxToolCalls }) => maxToolCalls,
    "providerOptions.openai.maxToolCalls",
  ],
  [/^google\.google_search$/, () => GOOGLE_SEARCHES, ""],
];

type ProviderTool = Extract<Tool, { type: "provider" }>;
interface CallLimits {
  maxToolCalls?: unknown;
}

/**
 * What the tools that `provider` defines may use. The AI SDK leaves out those of other providers.
 * @throws SpendgateError invalid_request for one whose cost has no bound.
 */
export function toolsBound(
  { tools, providerOptions }: Pick<LanguageModelV4CallOptions, "tools" | "providerOptions">,
  provider: string,
): ToolsBound {
  const bound: ToolsBound = { known: 0, searches: 0 };
  for (const tool of tools ?? []) {
    if (tool.type !== "provider" || !tool.id.startsWith(`${provider}.`)) continue;
    if (RUN_HERE.test(tool.id)) bound.known++;
    else bound.searches += searchesOf(tool, { ...providerOptions?.openai });
  }
  return bound;
}

function searchesOf(tool: ProviderTool, limits: CallLimits): number {
  const [, most, where] = SEARCHES.find(([id]) => id.test(tool.id)) ?? [];
  if (!most) throw refused(tool, "The cost of this tool cannot be bounded, so it is not sent.");
  const searches = most(tool, limits);
  if (typeof searches === "number" && Number.isInteger(searches) && searches > 0) return searches;
  throw refused(tool, `Say in ${where} how many searches it may make: each is paid for.`);
}

function refused(tool: ProviderTool, message: string) {
  return invalidRequest([{ path: `tools.${tool.id}`, message }]);
}
