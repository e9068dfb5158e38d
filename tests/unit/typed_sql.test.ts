// Calls of SQL are typed by the generated types: what is misspelled does not compile. `npm run check:types` is the
// test: a line below that compiles is an unused @ts-expect-error, which is an error.
import { expect, it } from "vitest";
import { z } from "zod";
import type { Database } from "../../functions/_shared/database/client.ts";

const rpc = (() => Promise.resolve({})) as unknown as Database["rpc"];
const id = "00000000-0000-4000-8000-000000000000";
const allowed = z.object({ allowed: z.boolean() });

const right = [
  () => rpc("extend", allowed, { reservation_id: id, usage: {}, ttl_seconds: 60 }),
  () => rpc("extend", allowed, { reservation_id: id, usage: {}, ttl_seconds: null }),
  () => rpc("maintenance_jobs", z.array(z.object({ job: z.string() })), {}),
];

const wrong = [
  // @ts-expect-error the argument is ttl_seconds
  () => rpc("extend", allowed, { reservation_id: id, usage: {}, ttl_second: 60 }),
  // @ts-expect-error usage is missing
  () => rpc("extend", allowed, { reservation_id: id }),
  // @ts-expect-error ttl_seconds is a number
  () => rpc("extend", allowed, { reservation_id: id, usage: {}, ttl_seconds: "60" }),
  // @ts-expect-error the function is extend
  () => rpc("extends", allowed, { reservation_id: id, usage: {} }),
  // @ts-expect-error the answer has allowed
  () => rpc("extend", z.object({ allowd: z.boolean() }), { reservation_id: id, usage: {} }),
  // @ts-expect-error its rows have job
  () => rpc("maintenance_jobs", z.array(z.object({ jobs: z.string() })), {}),
];

it(`${right.length} calls that are spelled right compile, and ${wrong.length} that are not do not`, () => {
  expect([right.length, wrong.length]).toEqual([3, 6]);
});
