// What our logic costs: reserve and settle beside the least SQL that touches the same rows.
import { floorFunctions, floorStatements } from "../floor.ts";
import { connect } from "../load.ts";
import { inRounds, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import { assertBalanced, copyWorld, reserveAndSettle } from "../world.ts";

export async function floor({ scratch, world, effort }: Bench): Promise<Result[]> {
  const copy = await copyWorld(scratch, world, "floor");
  const results: Result[] = [];
  for (const count of [1, 8, 32]) {
    const connections = await connect(copy.url, count);
    const loads = await inRounds(
      {
        ours: { connections, call: reserveAndSettle(copy.callers) },
        statements: { connections, call: await floorStatements(copy) },
        functions: { connections, call: await floorFunctions(copy) },
      },
      effort,
    );
    await connections.close();
    const ours = rates(loads.ours);
    for (const [form, load] of Object.entries({
      "prepared statements": loads.statements,
      "two functions": loads.functions,
    })) {
      const figures = { ours, floor: rates(load) };
      results.push({
        name: `reserve + settle ÷ floor in ${form}, ${count} connection${count > 1 ? "s" : ""}`,
        value: ratio(figures.ours, figures.floor),
        bound: { atLeast: 0.75 },
        figures,
      });
    }
  }
  await assertBalanced(copy, { balancesAlone: true });
  return results;
}
