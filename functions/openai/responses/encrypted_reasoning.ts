// What a provider wants back of its reasoning, in the one field that Responses has for it: `encrypted_content`.
import type { SharedV4ProviderMetadata, SharedV4ProviderOptions } from "@ai-sdk/provider";
import * as z from "zod";
import type { Wire } from "../../_shared/llm/wire.ts";

/** OpenAI's own is sent as it came; the signatures of others, in this envelope. */
const ENVELOPE = "spendgate:";

const signatures = z.record(z.string(), z.record(z.string(), z.string().regex(/^[ -~]*$/)));

/** Undefined where the provider wants nothing back. */
export function writeReasoning(metadata: SharedV4ProviderMetadata): string | undefined {
  const { openai, ...others } = metadata;
  const own = openai?.reasoningEncryptedContent;
  if (typeof own === "string") return own;
  const { success, data } = signatures.safeParse(others);
  if (!success || Object.keys(data).length === 0) return undefined;
  return ENVELOPE + btoa(JSON.stringify(data));
}

/** Undefined for what is no use to a provider: it is another's, or cannot be read. */
export function readReasoning(
  encrypted: string | null | undefined,
  wire: Wire,
): { providerOptions: SharedV4ProviderOptions } | undefined {
  if (!encrypted) return undefined;
  if (!encrypted.startsWith(ENVELOPE)) {
    if (wire !== "openai") return undefined;
    return { providerOptions: { openai: { reasoningEncryptedContent: encrypted } } };
  }
  const kept = parse(encrypted.slice(ENVELOPE.length))?.[wire];
  return kept && { providerOptions: { [wire]: kept } };
}

function parse(base64: string): z.output<typeof signatures> | undefined {
  try {
    return signatures.parse(JSON.parse(atob(base64)));
  } catch {
    return undefined;
  }
}
