import type { ReservedSql } from "postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { administration, calls, Dice, perform, quotaChanges, transactions } from "./operations.ts";
import { deadlocks } from "./sessions.ts";
import { createWorld, expectExact, renewWorld } from "./world.ts";

const SECONDS = Number(process.env.SPENDGATE_DEADLOCK_SECONDS ?? 60);
const CALLERS = 10;
const ADMINISTRATORS = 5;

let database: TestDatabase;

beforeAll(async () => {
  database = await cloneDatabase({ connections: CALLERS + ADMINISTRATORS + 2 });
});
afterAll(() => database?.close());

it(`${SECONDS} s of calls by ${CALLERS} connections beside all administration by ${ADMINISTRATORS} meet no deadlock`, {
  timeout: (SECONDS + 90) * 1000,
}, async () => {
  const { sql } = database;
  const dice = new Dice(Date.now());
  const world = await createWorld(sql, dice);
  const spending = [...Object.keys(calls), "call_in_transaction"];
  const changing = [
    ...Object.keys(quotaChanges),
    ...Object.keys(administration),
    ...Array<string[]>(3).fill(Object.keys(transactions)).flat(),
  ];
  const end = Date.now() + SECONDS * 1000;
  const answers = { done: 0, refused: 0, waitedTooLong: 0 };

  const untilEnd = async (session: ReservedSql, kinds: string[]) => {
    while (Date.now() < end) {
      const answer = await perform(session, world, dice.pick(kinds), dice.below(2 ** 31));
      if (answer === "done") answers.done++;
      else if (answer.startsWith("55P03")) answers.waitedTooLong++;
      else answers.refused++;
    }
  };
  const renewUntilEnd = async () => {
    while (Date.now() < end) {
      // It waits for calls, like all administration: a wait that is too long is no deadlock.
      await renewWorld(sql, world).catch((error) => {
        if (error.code !== "55P03") throw error;
        answers.waitedTooLong++;
      });
      await new Promise((done) => setTimeout(done, 500));
    }
  };
  const sessions = await Promise.all(
    Array.from({ length: CALLERS + ADMINISTRATORS }, () => sql.reserve()),
  );
  const ended = await Promise.allSettled([
    ...sessions.map((session, number) => untilEnd(session, number < CALLERS ? spending : changing)),
    renewUntilEnd(),
  ]);
  for (const session of sessions) session.release();
  for (const one of ended) if (one.status === "rejected") throw one.reason;

  expect(await deadlocks(sql)).toBe(0);
  expect(answers.done).toBeGreaterThan(SECONDS * 10);
  // Nothing holds a lock for seconds here: who waits that long waits for more than one change.
  expect(answers.waitedTooLong).toBeLessThan(answers.done / 100);
  await expectExact(sql, world);
});
