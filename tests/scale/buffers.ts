import type { Row, Sql } from "postgres";

/** Buffers that a statement, with all that its functions read, hits or reads; planned and warm. */
export async function buffersOf(
  sql: Sql,
  statement: () => Promise<string>,
  { runs = 8 } = {},
): Promise<number> {
  const counts: number[] = [];
  for (let i = 0; i < runs; i++) {
    const [row] = await sql.unsafe(`explain (analyze, buffers, format json) ${await statement()}`);
    counts.push(costOf(row).buffers);
  }
  return Math.min(...counts);
}

/** Buffers and rows, of the answer to explain (analyze, buffers, format json). */
export function costOf(row: Row | undefined): { buffers: number; rows: number } {
  const plan = row?.["QUERY PLAN"][0].Plan;
  return {
    buffers: plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
    rows: plan["Actual Rows"],
  };
}
