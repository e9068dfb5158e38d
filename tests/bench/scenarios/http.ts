// What the gate adds to chat's time to first byte, beside one RPC through the same Data API. Users' tokens are signed ES256,
// so the function verifies them itself.
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { generateKeys } from "../../../scripts/stack/keys.ts";
import { startServices } from "../../../scripts/stack/stack.ts";
import { median } from "../load.ts";
import { figure, type Result } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import { assertBalanced, copyWorld, ESTIMATE, within } from "../world.ts";

const QUESTION = "How far is the moon?";
const AT_ONCE = 64;
const MESSAGES = [{ role: "user", content: QUESTION }];

export async function http({ scratch, world, effort }: Bench): Promise<Result[]> {
  const copy = await copyWorld(scratch, world, "http");
  const keys = await generateKeys();
  const services = await startServices({
    databaseUrl: copy.url,
    keys,
    functionsFolder: fileURLToPath(new URL("../functions", import.meta.url)),
  });
  const tenantId = copy.callers[0]?.tenant;
  // Token by token, as models do: what comes after the first byte does not compete with it for the processor.
  services.providers?.mock.prependFixture({
    match: { userMessage: QUESTION },
    response: {
      content: "Some 384,400 km, as light flies a little over a second.",
      usage: { prompt_tokens: 6, completion_tokens: 14, total_tokens: 20 },
    },
    streamingProfile: { ttft: 0, tps: 200 },
  });
  try {
    const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
      fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      });
    const signedUp = await post(
      `${services.url}/auth/v1/signup`,
      { email: `${randomUUID()}@example.com`, password: randomUUID() },
      { apikey: keys.publishable },
    ).then((answer) => answer.json() as Promise<{ access_token: string; user: { id: string } }>);
    const userId = signedUp.user.id;
    await within(
      copy.url,
      (sql) =>
        sql`insert into spend.tenant_members (tenant_id, user_id) values (${tenantId ?? null}, ${userId})`,
    );

    const completion = { model: "gpt-4o-mini", messages: MESSAGES, stream: true };
    const ways = {
      chat: () =>
        post(
          `${services.url}/functions/v1/chat`,
          { tenantId, model: "openai/gpt-4o-mini", messages: MESSAGES },
          { apikey: keys.publishable, authorization: `Bearer ${signedUp.access_token}` },
        ),
      // A function that answers at once (405): the way there and back.
      bareFunction: () =>
        fetch(`${services.url}/functions/v1/chat`, { headers: { apikey: keys.publishable } }),
      bareProxy: () =>
        post(`${services.url}/functions/v1/bare`, completion, { apikey: keys.publishable }),
      provider: () => post(`${services.providers?.url}/v1/chat/completions`, completion),
      rpc: () =>
        post(
          `${services.url}/rest/v1/rpc/reserve`,
          { tenant_id: tenantId, user_id: userId, resource_type: "llm", usage: ESTIMATE },
          { apikey: keys.secret, "content-profile": "spend" },
        ),
    };
    const names = Object.keys(ways) as (keyof typeof ways)[];
    const rounds = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<
      keyof typeof ways,
      number[]
    >;
    // Of fewer, the figures of two equal runs differ by more than what is looked for.
    const calls = Math.max(Math.round(60 * effort.scale), 15);
    for (let round = -1; round < effort.rounds; round++) {
      const times = new Map(names.map((name) => [name, [] as number[]]));
      for (let call = 0; call < calls; call++) {
        for (const name of call % 2 === 0 ? names : names.toReversed()) {
          const isThere = ["provider", "bareProxy"].includes(name) ? hasToken : undefined;
          times.get(name)?.push(await timeToFirst(ways[name], isThere));
        }
      }
      if (round < 0) continue;
      for (const name of names) rounds[name].push(median(times.get(name) ?? []));
    }
    const together = await chatsAtOnce(copy.url, ways.chat, effort.rounds);
    const figures = Object.fromEntries(names.map((name) => [name, figure("ms", rounds[name])]));
    const addedTo = (other: "provider" | "bareProxy") =>
      median(
        rounds.chat.map((chat, round) => (chat - at(rounds[other], round)) / at(rounds.rpc, round)),
      );
    return [
      {
        name: "chat's time to first byte less the provider's ÷ one RPC",
        value: addedTo("provider"),
        bound: { atMost: 1.3 },
        figures,
      },
      {
        name: "chat's time to first byte less a bare proxy's ÷ one RPC",
        value: addedTo("bareProxy"),
        bound: { atMost: 1.3 },
        figures,
      },
      {
        name: `requests to the database per chat, ${AT_ONCE} chats at once`,
        value: median(together.requests),
        bound: { atMost: 0.8 },
        figures: { p50: figure("ms", together.p50), alone: figure("ms", rounds.chat) },
      },
    ];
  } finally {
    await services.stop();
    await assertBalanced(copy);
  }
}

/** Of each round, the requests to the database per chat, and the median time to the first byte in ms. */
async function chatsAtOnce(url: string, chat: () => Promise<Response>, rounds: number) {
  const requests: number[] = [];
  const p50: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const since = new Date();
    p50.push(median(await Promise.all(Array.from({ length: AT_ONCE }, () => timeToFirst(chat)))));
    // What one transaction writes has one time.
    const [row] = await within(
      url,
      (sql) => sql<{ requests: number }[]>`
        select count(distinct r.created_at)::int + count(distinct r.ended_at)::int as requests
        from spend.reservations as r where r.created_at >= ${since} and r.status = 'settled'`,
    );
    requests.push((row?.requests ?? Number.NaN) / AT_ONCE);
  }
  return { requests, p50 };
}

function at(values: number[], round: number): number {
  return values[round] ?? Number.NaN;
}

/** The provider's stream begins with a part without text; chat waits for the first token. */
function hasToken(text: string): boolean {
  return /"content":"[^"]/.test(text);
}

/** Milliseconds until the body has what is waited for, any byte by default; the rest is read, so that nothing of it is left over. */
async function timeToFirst(
  send: () => Promise<Response>,
  isThere: (text: string) => boolean = () => true,
): Promise<number> {
  const begin = performance.now();
  const answer = await send();
  if (!answer.ok && answer.status !== 405) {
    throw new Error(`${answer.status} ${await answer.text()}`);
  }
  let text = "";
  let elapsed: number | undefined;
  for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += part;
    if (elapsed === undefined && isThere(text)) elapsed = performance.now() - begin;
  }
  return elapsed ?? performance.now() - begin;
}
