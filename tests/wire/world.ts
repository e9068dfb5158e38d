// One stack for all cases: each is a conversation of its own, so that many run beside each other.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";
import { type Catalogue, readCatalogue } from "./bill.ts";
import type { WireCase } from "./cases/case.ts";
import { FORMATS } from "./cases/targets.ts";
import { readAnswer, type Seen } from "./client.ts";
import { json, type RawProvider, type RawRequest, startRawProvider } from "./provider.ts";

export interface Booking {
  status: string;
  isEstimated: boolean;
  /** USD with twelve decimals. */
  cost: string;
  estimate: string;
}

export interface Outcome {
  /** Undefined when the client hung up before an answer. */
  seen: Seen | undefined;
  bookings: Booking[];
  requests: RawRequest[];
}

export interface WireWorld {
  stack: TestStack;
  provider: RawProvider;
  catalogue: Catalogue;
  user: TestUser;
  tenant: TestTenant;
  /** Plays a case, and waits until nothing of it is held any more. */
  play(one: WireCase): Promise<Outcome>;
  stop(): Promise<void>;
}

export async function startWireWorld(env: Record<string, string> = {}): Promise<WireWorld> {
  const provider = await startRawProvider();
  const stack = await startTestStack({
    // A machine that is busy with other tests is no failure of the gate.
    env: { ...provider.env, SPENDGATE_GATE_TIMEOUT_MS: "20000", ...env },
  });
  const user = await stack.signUp();
  const tenant = await stack.createTenant({ members: [user] });
  await stack.sql`update spend.cost_quotas set limit_usd = 1000000 where tenant_id = ${tenant.id}`;
  const catalogue = await readCatalogue(stack.sql);
  const world: WireWorld = {
    stack,
    provider,
    catalogue,
    user,
    tenant,
    async play(one) {
      const marker = `case-${randomBytes(6).toString("hex")}`;
      provider.answer(marker, ...one.answers);
      const seen = await send({ stack, user, provider }, one, marker);
      return {
        seen,
        bookings: await ended(stack, marker, () => provider.requests(marker).length),
        requests: provider.requests(marker),
      };
    },
    async stop() {
      await stack.stop();
      await provider.stop();
    },
  };
  await warmUp(world);
  return world;
}

/** Loads the functions, and the SDK of each format: the first call of each takes longer than a time-out here. */
async function warmUp({ stack, user, play }: WireWorld): Promise<void> {
  const wrong = Object.values(PATHS).map((path) => stack.call(path, { user, json: {} }));
  for (const { status } of await Promise.all(wrong)) {
    if (status !== 400) throw new Error(`a request without a model was answered ${status}`);
  }
  for (const [format, target] of Object.entries(FORMATS)) {
    const answer = json(target.wire.whole({ text: "Yes", usage: target.wire.usage(9, 1) }));
    await until(`${format} has answered`, async () => {
      const call = { name: format, target, stream: false, answers: [answer] };
      return (await play({ ...call, expected: { booked: "bound" } })).seen?.status === 200;
    });
  }
}

const PATHS = {
  openai: "/openai/chat/completions",
  responses: "/openai/responses",
  anthropic: "/anthropic/v1/messages",
  embeddings: "/openai/embeddings",
  chat: "/chat",
};

/** Well above the time-out of a call: an answer that takes longer never comes. */
const PATIENCE_MS = 25_000;

/** What SPENDGATE_MAX_OUTPUT_TOKENS is where a request says nothing, as one in Anthropic's format must. */
const MOST_TOKENS = 4096;

async function send(
  { stack, user, provider }: Pick<WireWorld, "stack" | "user" | "provider">,
  { endpoint = "openai", target, stream, request, leavesAfterMs }: WireCase,
  marker: string,
): Promise<Seen | undefined> {
  const model = `${target.provider}/${target.model}`;
  const prompt = `Say it. ${marker}`;
  const messages = [{ role: "user", content: prompt }];
  const bodies = {
    openai: { model, stream, messages, ...request },
    responses: { model, stream, input: prompt, ...request },
    anthropic: { model, stream, messages, max_tokens: MOST_TOKENS, ...request },
    embeddings: { model, input: prompt, ...request },
    chat: { model, stream, messages, conversationId: marker, ...request },
  };
  const client = new AbortController();
  const sent = stack
    .call(PATHS[endpoint], {
      user,
      json: JSON.parse(JSON.stringify(bodies[endpoint]).replaceAll("MARKER", marker)),
      headers: { "x-spendgate-conversation": marker },
      signal: AbortSignal.any([client.signal, AbortSignal.timeout(PATIENCE_MS)]),
    })
    .then(readAnswer);
  if (leavesAfterMs === undefined) return sent;
  sent.catch(() => {});
  await until("the provider is called", () => provider.requests(marker).length > 0, 20);
  await sleep(leavesAfterMs);
  client.abort();
  return undefined;
}

/** What was booked for a conversation, in order, when none of it is held any more. */
async function ended(
  stack: TestStack,
  conversation: string,
  requests: () => number,
): Promise<Booking[]> {
  return until(
    `all calls of ${conversation} have ended`,
    async () => {
      const rows = await stack.sql<Booking[]>`
        select status, is_estimated as "isEstimated", coalesce(actual_cost_usd, 0)::numeric(30, 12)::text as cost,
          estimated_cost_usd::numeric(30, 12)::text as estimate
        from spend.reservations where conversation_id = ${conversation} order by created_at, id`;
      const isOver = rows.every((row) => row.status !== "held") && rows.length >= requests();
      return isOver ? rows : undefined;
    },
    20,
  );
}

/** Does `work` for all, `width` at a time, in order; each result can be awaited by itself. */
export function pooled<T, R>(all: T[], width: number, work: (one: T) => Promise<R>): Promise<R>[] {
  const waiting: (() => void)[] = [];
  let free = width;
  const enter = async () => {
    if (free > 0) free -= 1;
    else await new Promise<void>((go) => waiting.push(go));
  };
  const leave = () => {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  };
  return all.map((one) => {
    const result = enter().then(() => work(one).finally(leave));
    // Whoever asks for it sees the failure.
    result.catch(() => {});
    return result;
  });
}
