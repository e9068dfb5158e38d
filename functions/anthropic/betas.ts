// The header anthropic-beta. By itself a beta changes no bound and no bill: those that do need a field in the body, and
// such fields are refused by their names.
import { ANTHROPIC_BETAS } from "../_shared/llm/providers/options.ts";
import type { Wire } from "../_shared/llm/wire.ts";

/** Those that need nothing: what they allow is allowed to all by now, or asked for by the AI SDK where it is used. */
const NEEDLESS =
  /^(claude-code|oauth|prompt-caching|extended-cache-ttl|pdfs|token-counting|messages|max-tokens|structured-outputs|effort|context-management|computer-use|tool-examples|advanced-tool-use|mid-conversation-system|adaptive-thinking|redact-thinking)-/;

export interface Betas {
  sent: string[];
  /** For `x-spendgate-warnings`. */
  ignored: string[];
}

export function readBetas(headers: Headers, wire: Wire): Betas {
  const named = (headers.get("anthropic-beta") ?? "").split(",").map((beta) => beta.trim());
  const betas: Betas = { sent: [], ignored: [] };
  for (const beta of new Set(named)) {
    const isKnown = ANTHROPIC_BETAS.some((known) => known === beta);
    if (isKnown && wire === "anthropic") betas.sent.push(beta);
    else if (!isKnown && !NEEDLESS.test(beta) && /^[\w.-]{1,64}$/.test(beta)) {
      betas.ignored.push(`anthropic-beta:${beta}`);
    }
  }
  return betas;
}
