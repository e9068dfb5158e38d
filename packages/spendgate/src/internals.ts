// What a gate, and a spender of a request, have behind what programs see.
import type { Gate as SqlGate } from "../../../functions/_shared/gate/gate.ts";
import type { Metering } from "../../../functions/_shared/gate/metering.ts";
import type { Env } from "../../../functions/_shared/runtime/env.ts";
import type { Gate, Spender } from "./types.ts";

interface Internals {
  env: Env;
  gate: SqlGate;
  /** Users can be asked for: there is a publishable key, or keys to verify tokens with. */
  knowsUsers: boolean;
}

const internals = new WeakMap<Gate, Internals>();

export function keepInternals(gate: Gate, own: Internals): void {
  internals.set(gate, own);
}

export function internalsOf(gate: Gate): Internals {
  const found = internals.get(gate);
  if (found) return found;
  throw new TypeError("This is no gate of createGate().");
}

/** Meterings of requests that a gated handler serves. */
const meterings = new WeakMap<Spender, Metering>();

export function remember(spender: Spender, metering: Metering): void {
  meterings.set(spender, metering);
}

/** What a call needs to be held and booked. */
export function meteringOf(spender: Spender): Metering {
  const known = meterings.get(spender);
  if (known) return known;
  const { gate, env } = internalsOf(spender.gate);
  return {
    ...{ gate, env, tenantId: spender.tenantId, userId: spender.userId ?? null },
    task: spender.task ?? "chat",
    conversationId: spender.conversationId,
    pathId: spender.pathId,
  };
}
