import type { Sql } from "postgres";

/** Buffers that a statement, with all that its functions read, hits or reads; planned and warm. */
export async function buffersOf(
  sql: Sql,
  statement: () => Promise<string>,
  { runs = 8 } = {},
): Promise<number> {
  const counts: number[] = [];
  for (let i = 0; i < runs; i++) {
    const [row] = await sql.unsafe(`explain (analyze, buffers, format json) ${await statement()}`);
    const plan = row?.["QUERY PLAN"][0].Plan;
    counts.push(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]);
  }
  return Math.min(...counts);
}
