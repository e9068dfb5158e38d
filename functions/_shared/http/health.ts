// GET …/health: whether the function can do its work. Nothing about any tenant, so anybody may ask.
import * as z from "zod";
import { CONTRACT_VERSION } from "../database/contract.ts";
import { type SpendgateError, toSpendgateError } from "../errors.ts";
import type { Gate } from "../gate/gate.ts";

const maintenance = z.object({
  is_running: z.boolean().nullable(),
  last_run_at: z.string().nullable(),
});
const prices = z.string().nullable();

/** Milliseconds for which an answer is given again: whoever asks often costs the database no more. */
const KEPT_MS = 5000;

interface Health {
  status: "ok" | "degraded" | "down";
  database: "reachable" | "unreachable";
  contractVersion: { database: number | null; functions: number };
  maintenance: { isRunning: boolean; lastRunAt: string | null } | null;
  prices: { newestValidFrom: string | null } | null;
  /** What to do about each thing that is wrong. */
  remedies: string[];
}

let kept: { health: Promise<Health>; until: number } | undefined;

/** 200 where calls can be gated (`ok`, or `degraded` where maintenance does not run); 503 where they cannot. */
export async function answerHealth(gate: Gate): Promise<Response> {
  if (kept === undefined || kept.until < Date.now()) {
    kept = { health: look(gate), until: Date.now() + KEPT_MS };
  }
  const health = await kept.health;
  return Response.json(health, {
    status: health.status === "down" ? 503 : 200,
    headers: { "Cache-Control": "no-store" },
  });
}

async function look(gate: Gate): Promise<Health> {
  const health: Health = {
    status: "ok",
    database: "reachable",
    contractVersion: { database: null, functions: CONTRACT_VERSION },
    maintenance: null,
    prices: null,
    remedies: [],
  };
  try {
    health.contractVersion.database = await gate.expectContract();
    const [status, newest] = await Promise.all([
      gate.call("maintenance_status", maintenance, {}),
      gate.call("newest_price_from", prices, {}),
    ]);
    health.maintenance = { isRunning: status.is_running ?? false, lastRunAt: status.last_run_at };
    health.prices = { newestValidFrom: newest };
    if (!status.is_running) {
      health.status = "degraded";
      health.remedies.push(
        "Run maintenance every minute: select spend.maintenance_status() says how.",
      );
    }
    if (newest === null) {
      health.status = "down";
      health.remedies.push(
        "There are no prices: run npx spendgate prices update, then npx supabase db push.",
      );
    }
  } catch (thrown) {
    describe(toSpendgateError(thrown), health);
  }
  return health;
}

function describe(error: SpendgateError, health: Health): void {
  health.status = "down";
  const { contractVersion } = error.details as { contractVersion?: { database: number | null } };
  if (contractVersion) health.contractVersion.database = contractVersion.database;
  else if (error.code !== "not_configured") health.database = "unreachable";
  health.remedies.push(error.message);
}
