// Mutated answers of providers: what the client saw is paid for or marked as estimated, and nothing stays held.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { seeded } from "../support/random.ts";
import { verifyBalances } from "../support/spend.ts";
import { until } from "../support/until.ts";
import { readAnswer, type Seen } from "../wire/client.ts";
import { pooled, startWireWorld, type WireWorld } from "../wire/world.ts";
import { runs, seed } from "./hostile.ts";
import { type MutatedAnswer, mutatedAnswer } from "./mutate_answer.ts";

const ANSWERS = runs(5000);
const WIDTH = 24;
const PATIENCE_MS = 20_000;
const STATUSES = [200, 400, 413, 422, 429, 502, 503, 504];

let world: WireWorld;
beforeAll(async () => {
  world = await startWireWorld({
    SPENDGATE_CALL_TIMEOUT_MS: "10000",
    SPENDGATE_DISCONNECT_GRACE_MS: "100",
  });
});
afterAll(() => world?.stop());

interface Played extends MutatedAnswer {
  conversation: string;
  seen: Seen;
}

interface Booking {
  status: string;
  isEstimated: boolean;
  outputTokens: number;
  cost: number;
}

async function play(mutated: MutatedAnswer, conversation: string): Promise<Played> {
  const { target, stream, answer } = mutated;
  world.provider.answer(conversation, answer);
  // Straight to the functions, and with the tenant's name: what is not looked at here would take half of the time.
  const { stack, tenant, user } = world;
  const response = await fetch(
    `http://127.0.0.1:${stack.services.functions.port}/openai/chat/completions`,
    {
      method: "POST",
      body: JSON.stringify({
        model: `${target.provider}/${target.model}`,
        stream,
        max_tokens: 200,
        messages: [{ role: "user", content: `Say it. ${conversation}` }],
        tools: [
          { type: "function", function: { name: "weather", parameters: { type: "object" } } },
        ],
      }),
      headers: {
        authorization: `Bearer ${user.jwt}`,
        "content-type": "application/json",
        "x-spendgate-tenant": tenant.id,
        "x-spendgate-conversation": conversation,
      },
      signal: AbortSignal.timeout(PATIENCE_MS),
    },
  );
  return { ...mutated, conversation, seen: await readAnswer(response) };
}

/** The calls' reservations, by conversation, when none is held any more. */
async function bookings(): Promise<Map<string, Booking>> {
  const rows = await until(
    "nothing is held",
    async () => {
      const found = await world.stack.sql<(Booking & { conversation: string })[]>`
        select r.conversation_id as conversation, r.status, r.is_estimated as "isEstimated",
          coalesce((e.usage ->> 'output_tokens')::float8, 0) as "outputTokens", r.actual_cost_usd::float8 as cost
        from spend.reservations as r
        left join spend.cost_events as e on e.reservation_id = r.id and e.kind = 'charge'
        where r.conversation_id like 'case-fuzz%'`;
      return found.every(({ status }) => status !== "held") ? found : undefined;
    },
    30,
  );
  return new Map(rows.map((row) => [row.conversation, row]));
}

/** Words that the client got: no tokenizer makes one token of two of them. */
function wordsIn({ text, reasoning }: Seen): number {
  return `${text} ${reasoning}`.split(/\s+/).filter(Boolean).length;
}

/** What is wrong about a call; undefined when nothing is. */
function wrongAbout({ seen, isCut }: Played, booking: Booking | undefined): string | undefined {
  const words = wordsIn(seen);
  if (!STATUSES.includes(seen.status)) return `status ${seen.status}`;
  if (booking === undefined) return `status ${seen.status} and no reservation`;
  if (booking.status === "expired") return "the hold expired";
  if (booking.status === "released" && words > 0) return `${words} words were free`;
  if (booking.status === "settled" && !booking.isEstimated && booking.outputTokens < words) {
    return `${words} words were seen, ${booking.outputTokens} tokens booked, and not flagged`;
  }
  if (booking.status === "settled" && words > 0 && booking.cost === 0) return "words cost nothing";
  const looksFinished = seen.finish !== null && seen.error === undefined;
  if (isCut && looksFinished) return `a cut answer looks finished (${seen.finish})`;
  if (seen.status === 200 && isCut && seen.error === undefined) return "a cut answer has no error";
  return undefined;
}

it(`${ANSWERS} mutated answers are paid for or marked as estimated, leave nothing held, give no 500, and none that was cut looks finished`, {
  timeout: 600_000,
}, async () => {
  console.log(`answers of providers: seed ${seed} (SPENDGATE_FUZZ_SEED=${seed} repeats it)`);
  const random = seeded(seed);
  const run = randomBytes(4).toString("hex");
  const mutated = Array.from({ length: ANSWERS }, () => mutatedAnswer(random));
  const played = await Promise.allSettled(
    pooled(
      mutated.map((one, at) => [one, `case-fuzz-${run}-${at}`] as const),
      WIDTH,
      ([one, id]) => play(one, id),
    ),
  );
  const booked = await bookings();
  const wrong = played.flatMap((result, at) => {
    const problem =
      result.status === "rejected"
        ? `no answer: ${result.reason}`
        : wrongAbout(result.value, booked.get(result.value.conversation));
    return problem === undefined ? [] : [describe(at, problem, mutated[at] as MutatedAnswer)];
  });
  expect(wrong.slice(0, 20)).toEqual([]);
  expect(wrong).toHaveLength(0);
  expect(await verifyBalances(world.stack.sql)).toEqual([]);
});

function describe(at: number, problem: string, { target, stream, changes, answer }: MutatedAnswer) {
  const sent = (answer.pieces ?? [])
    .map((piece) =>
      typeof piece === "string" || piece instanceof Uint8Array ? Buffer.from(piece).toString() : "",
    )
    .join("");
  return {
    problem,
    answer: `#${at} of seed ${seed}: ${target.provider}/${target.model}, ${stream ? "streamed" : "whole"}`,
    changes,
    sent: sent.slice(-1500),
  };
}
