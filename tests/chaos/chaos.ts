// Rounds of traffic in which things break, and after each the balances are verified.
import { setTimeout as sleep } from "node:timers/promises";
import { type Random, seeded } from "../support/random.ts";
import { findFaults } from "./checks.ts";
import { FAIR } from "./proxies.ts";
import { type Answered, addTenants, chat, expire, work } from "./traffic.ts";
import { startWorld, type World } from "./world.ts";

export interface ChaosOptions {
  seed: number;
  rounds: number;
  /** Seconds of traffic in each round. */
  seconds: number;
  report?: (line: string) => void;
}

const TENANTS = 8;
const SQL_WORKERS = 4;
const CHATTERS = 4;

/** Answers what was wrong after a round: nothing, if all is well. */
export async function runChaos(options: ChaosOptions): Promise<string[]> {
  const { seed, rounds, seconds, report = () => {} } = options;
  report(`seed ${seed}`);
  const random = seeded(seed);
  const world = await startWorld(random.fork());
  try {
    const tenants = await addTenants(world, TENANTS);
    const answered: Answered = {
      reservations: new Set(),
      booked: new Map(),
      statuses: new Map(),
      faults: [],
    };
    for (let round = 1; round <= rounds; round++) {
      const broken = await storm(world, random, seconds, (isOver) => [
        ...Array.from({ length: SQL_WORKERS }, () =>
          work(world, tenants, answered, random.fork(), isOver),
        ),
        ...Array.from({ length: CHATTERS }, () =>
          chat(world, tenants, answered, random.fork(), isOver),
        ),
        expire(world, isOver),
      ]);
      const faults = await findFaults(world, answered);
      const [row] = await world.direct()`select count(*)::int as calls from spend.reservations`;
      report(
        `round ${round}: ${broken.join(", ")}; ${row?.calls} reservations, ${world.provider.fates.size} calls of the ` +
          `provider, HTTP ${[...answered.statuses].map(([status, count]) => `${status}: ${count}`).join(", ")}; ` +
          (faults.length === 0 ? "the balances are right" : `${faults.length} faults`),
      );
      if (faults.length > 0) return faults.map((fault) => `seed ${seed}, round ${round}: ${fault}`);
      // A new hour's room, so that rounds do not end in refusals alone.
      await world.direct()`update spend.cost_quotas set limit_usd = limit_usd + 15 where tenant_id is not null`;
    }
    return [];
  } finally {
    await world.stop();
  }
}

/** Traffic for some seconds, while one thing after the other breaks; then all is mended, and the traffic ends. */
async function storm(
  world: World,
  random: Random,
  seconds: number,
  traffic: (isOver: () => boolean) => Promise<void>[],
): Promise<string[]> {
  const end = Date.now() + seconds * 1000;
  let isOver = false;
  const running = traffic(() => isOver);
  const broken: string[] = [];
  const actions: Record<string, () => Promise<void> | void> = {
    "database killed": () => world.killDatabase(),
    "functions killed": () => world.killFunctions(),
    "connections cut": () => world.network.cut(0.3),
    "answers lost": () => {
      world.gateNetwork.weather = { cut: 0.05, lost: 0.25, late: 0.1 };
    },
    "answers late": () => {
      world.gateNetwork.weather = { cut: 0.05, lost: 0.05, late: 0.4 };
    },
    "fair weather": () => {
      world.gateNetwork.weather = FAIR;
    },
  };
  try {
    // Each round kills the database at least once, at a moment of its own.
    let next = "database killed";
    while (Date.now() < end || broken.length === 0) {
      await sleep(random.int(100, 1200));
      await actions[next]?.();
      broken.push(next);
      next = random.pick(Object.keys(actions));
    }
    world.gateNetwork.weather = FAIR;
    await sleep(200);
  } finally {
    isOver = true;
    await Promise.all(running);
  }
  return broken;
}
