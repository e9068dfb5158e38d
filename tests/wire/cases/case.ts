// A case: what a provider sends, and what must be booked and seen of it.
import type { Counts } from "../bill.ts";
import type { RawAnswer } from "../provider.ts";
import type { Wire } from "../shapes/wire.ts";

export interface Target {
  provider: string;
  model: string;
  /** Its name in the catalogue. */
  product: string;
  wire: Wire;
}

/** What the ledger must say. */
export type Booked =
  /** The provider's whole report: settled, not flagged. */
  | { exactly: Counts }
  /** Settled at this, flagged. */
  | { flagged: Counts }
  /** Settled at this at least, and at the bound at most where that is more; flagged. */
  | { atLeast: Counts }
  /** Settled at this, or flagged at more: the report may be found in an answer that cannot be read. */
  | { settledFrom: Counts }
  /** As `exactly`; or refused before anything was held or sent. */
  | { exactlyOrNotHeld: Counts }
  /** Settled at the estimate, flagged. */
  | "bound"
  /** Settled at the estimate, or above where the provider reported more; flagged. */
  | "bound or more"
  /** Released: a provider's own refusal. */
  | "nothing"
  /** What its tokens cost and the fee (USD) at least; or refused before anything was held or sent. */
  | { tokens: Counts; fee: number }
  /** Refused before anything was held or sent. */
  | "not held";

export interface Expected {
  booked: Booked;
  /** 200 when left out; any of these. */
  status?: number | number[];
  text?: string;
  /** finish_reason, or Anthropic's stop_reason; null: the client must not take the answer for finished. */
  finish?: string | null;
  /** What finish_reason must not be. */
  notFinish?: string;
  tools?: { name: string; arguments: string }[];
  /** The answer, or its stream, has an error. */
  fails?: boolean;
  /** `code` of the error. */
  code?: string;
  /** `param` of the error. */
  param?: RegExp;
  /** Fields that `x-spendgate-warnings` names; any when left out. */
  warnings?: string[];
  retryAfter?: string;
  /** Requests that reach the provider; 1 when left out. */
  calls?: number;
  /** What must stand in the body that the provider gets, or must not. */
  sent?: { has?: string[]; hasNot?: string[] };
  /** What must stand in the answer. */
  seen?: string[];
  /** What must not. */
  notSeen?: string[];
}

export interface WireCase {
  /** A sentence with its figures. */
  name: string;
  target: Target;
  /** `openai` (Chat Completions) when left out. */
  endpoint?: "openai" | "responses" | "anthropic" | "embeddings" | "chat";
  stream: boolean;
  /** Fields of the request beside model, messages and stream, or in their place; MARKER becomes the case's own. */
  request?: Record<string, unknown>;
  answers: RawAnswer[];
  /** The client hangs up so long after the provider has its request. */
  leavesAfterMs?: number;
  expected: Expected;
}
