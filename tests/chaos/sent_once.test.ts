// A kept connection breaks before the answer: Deno would send the request again, unasked.
import { afterAll, beforeAll, expect, it } from "vitest";
import { answers, type ScriptedProvider, startScriptedProvider } from "../support/provider.ts";
import { seeded } from "../support/random.ts";
import { startTestStack, type TestStack, type TestUser } from "../support/stack.ts";
import { until } from "../support/until.ts";
import { FAIR, type HttpProxy, startHttpProxy } from "./proxies.ts";

let provider: ScriptedProvider;
let gateNetwork: HttpProxy;
let stack: TestStack;
let user: TestUser;
let tenantId: string;

beforeAll(async () => {
  provider = await startScriptedProvider();
  gateNetwork = await startHttpProxy("http://127.0.0.1:1", seeded(1));
  stack = await startTestStack({ env: { ...provider.env, SUPABASE_URL: gateNetwork.url } });
  gateNetwork.target = stack.url;
  user = await stack.signUp();
  tenantId = (await stack.createTenant({ members: [user] })).id;
});
afterAll(async () => {
  await stack?.stop();
  await gateNetwork?.stop();
  await provider?.stop();
});

const usage = { prompt_tokens: 10, completion_tokens: 5 };

function chat(): Promise<Response> {
  return stack.call("/chat", {
    user,
    json: { tenantId, messages: [{ role: "user", content: "Hello" }], stream: false },
  });
}

it("A provider that hangs up is called once", async () => {
  provider.plays(answers("Hello", usage));
  expect((await chat()).status).toBe(200);
  provider.journal.length = 0;
  provider.plays((response) => void setTimeout(() => response.destroy(), 20));
  expect((await chat()).status).toBe(502);
  expect(provider.journal).toHaveLength(1);
});

it("A reserve whose answer is lost holds nothing twice, and what it holds is released", async () => {
  provider.plays(answers("Hello", usage));
  expect((await chat()).status).toBe(200);
  const count = async () => {
    const [row] = await stack.sql`
      select count(*)::int as all, count(*) filter (where status = 'held')::int as held from spend.reservations`;
    return row;
  };
  const before = await count();
  gateNetwork.weather = { ...FAIR, lost: 1 };
  // Who calls is asked first, by the same network: that answer comes.
  gateNetwork.spared = /\/auth\//;
  const response = await chat();
  gateNetwork.weather = FAIR;
  expect(response.status).toBe(503);
  await until("the hold is given back", async () => (await count())?.held === 0, 20);
  expect(await count()).toEqual({ all: before?.all + 1, held: 0 });
});

it("E2B is asked once for a sandbox when it hangs up after starting it", async () => {
  const open = (conversationId: string) =>
    stack.call("/sandbox", { user, json: { tenantId, conversationId } });
  expect((await open("first")).status).toBe(201);
  const created = () => stack.sandboxes.journal.filter(({ operation }) => operation === "create");
  const before = created().length;
  stack.sandboxes.fault({ operation: "create", loseAnswer: true });
  expect((await open("second")).status).toBe(502);
  expect(created()).toHaveLength(before + 1);
});
