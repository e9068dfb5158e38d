// Every endpoint, and the Data API's functions, over HTTP: bodies, headers, paths, methods and tokens that are wrong.
import { request as httpRequest } from "node:http";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { REQUESTS } from "../isolation/requests.ts";
import { verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";
import { json, mutated, nested, runs, seed, TEXTS, tells, text } from "./hostile.ts";

const ENDPOINT_INPUTS = runs(1000);
const RPC_INPUTS = runs(400);
const WORKERS = 4;

/** 5xx that an endpoint may answer, by the name of its error. */
const NAMED: Record<number, string> = { 502: "upstream_error", 503: "quota_unavailable" };

interface Caller {
  user: TestUser;
  tenant: TestTenant;
}
interface Input {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Body;
}
/** Bytes that a failure prints the beginning of. */
class Body {
  constructor(readonly bytes: Buffer) {}
  [fc.toStringMethod](): string {
    return `${JSON.stringify(this.bytes.toString("latin1", 0, 500))} (${this.bytes.length} bytes)`;
  }
}
interface Answer {
  status: number;
  headers: Record<string, unknown>;
  text: string;
}

let stack: TestStack;
let callers: Caller[];
let victim: Caller;

beforeAll(async () => {
  stack = await startTestStack({ env: { SPENDGATE_MAX_BODY_BYTES: "65536" } });
  const join = async (name: string): Promise<Caller> => {
    const user = await stack.signUp();
    return { user, tenant: await stack.createTenant({ name, members: [user], role: "owner" }) };
  };
  callers = await Promise.all(Array.from({ length: WORKERS }, () => join("Caller")));
  victim = await join("The victim's name");
  const [held] = await stack.sql`
    select reservation_id as id from spend.reserve(${victim.tenant.id}, ${victim.user.id}, 'llm',
      '{"provider": "openai", "model": "gpt-4o", "input_tokens": 1000, "output_tokens": 100}', conversation_id => 'secret talk')`;
  await stack.sql`select spend.settle(${held?.id}, null)`;
});
afterAll(() => stack?.stop());

const KEYS = Object.keys(REQUESTS);

/** The bytes of a JSON value, now and then broken. */
function bytes(value: unknown): fc.Arbitrary<Body> {
  const whole = JSON.stringify(value) ?? "";
  return fc
    .oneof(
      { weight: 12, arbitrary: fc.constant(Buffer.from(whole)) },
      fc.nat(whole.length).map((length) => Buffer.from(whole.slice(0, length))),
      fc.uint8Array({ minLength: 1, maxLength: 40 }).map((garbage) => Buffer.from(garbage)),
      fc.constantFrom(
        Buffer.from(`\ufeff${whole}`),
        Buffer.from(`${whole}${whole}`),
        Buffer.from(whole, "utf16le"),
        Buffer.from(nested(20_000, "[", "]")),
        Buffer.from(nested(5000, '{"a":', "}")),
        Buffer.from(`{"messages": ${nested(10_000, "[", "]")}}`),
        Buffer.alloc(70_000, 0x20),
        Buffer.alloc(300_000, 0x61),
        Buffer.from([0xff, 0xfe, 0x00, 0xd8]),
        Buffer.alloc(0),
      ),
    )
    .map((content) => new Body(content));
}

/** What may stand in a header: HTTP itself refuses the rest, and so does Node. */
const headerText = text.map((value) =>
  value.replaceAll(/[^\x20-\x7e\x80-\xff]/g, "?").slice(0, 4000),
);

function headersFor(caller: Caller): fc.Arbitrary<Record<string, string>> {
  const odd = fc.record(
    {
      "content-type": fc.constantFrom(
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "",
      ),
      "x-spendgate-tenant": fc.oneof(
        fc.constantFrom(caller.tenant.id, victim.tenant.id, caller.tenant.id.toUpperCase()),
        headerText,
      ),
      "idempotency-key": headerText,
      "x-spendgate-task": headerText,
      "x-spendgate-conversation": headerText,
      "x-spendgate-path": headerText,
      "content-encoding": fc.constantFrom("gzip", "br", "identity"),
      "accept-encoding": headerText,
      authorization: fc.oneof(
        headerText.map((value) => `Bearer ${value}`),
        headerText,
        fc.constant(`Bearer ${caller.user.jwt}.x`),
      ),
      "x-forwarded-host": headerText,
      origin: headerText,
    },
    { requiredKeys: [] },
  );
  const usual = {
    authorization: `Bearer ${caller.user.jwt}`,
    "content-type": "application/json",
    apikey: stack.keys.publishable,
  };
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant(usual) },
    odd.map((headers) => ({ ...usual, ...headers })),
  );
}

const paths = (path: string) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.constant(path) },
    fc.constantFrom(
      `${path}/`,
      `${path}//`,
      `/.${path}`,
      `${path}?tenantId=x&a[]=1`,
      `${path}%00`,
      `${path}/%2e%2e/%2e%2e`,
      `${path}/..%2f_shared%2fenv.ts`,
      "/_shared",
      "/%5f",
      "/",
      `${path}/${"x".repeat(3000)}`,
      `${path}/%ff`,
      `${path}/%`,
    ),
    fc
      .constantFrom(...TEXTS)
      .map(
        (value) =>
          `${path}/${encodeURIComponent(value.replaceAll(/\p{Surrogate}/gu, "")).slice(0, 2000)}`,
      ),
  );

const NO_SANDBOX = "00000000-0000-4000-8000-000000000000";

function inputs(caller: Caller): fc.Arbitrary<Input> {
  return fc.tuple(fc.constantFrom(...KEYS), fc.boolean()).chain(([key, isOurs]) => {
    const call = (REQUESTS[key] as (typeof REQUESTS)[string]).call(
      isOurs ? caller.tenant.id : victim.tenant.id,
      NO_SANDBOX,
    );
    const body =
      call.json === undefined
        ? fc.constant(new Body(Buffer.alloc(0)))
        : fc
            .oneof(
              { weight: 4, arbitrary: mutated(call.json as object) },
              fc.constant(call.json as unknown),
              json,
            )
            .chain(bytes);
    return fc.record({
      method: fc.oneof(
        { weight: 12, arbitrary: fc.constant(call.method) },
        fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"),
      ),
      path: paths(`/functions/v1${call.path.replace("(stream)", "").replace("{id}", "x")}`),
      headers: headersFor(caller).map((headers) => ({ ...call.headers, ...headers })),
      body,
    });
  });
}

/** By Node's own client: fetch would refuse, or mend, half of what is sent here. */
function send({ method, path, headers, body }: Input): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(stack.url);
    const request = httpRequest(
      {
        hostname,
        port,
        method,
        path,
        headers: { ...headers, "content-length": body.bytes.length },
        agent: false,
      },
      (response) => {
        let answer = "";
        response.setEncoding("utf8");
        response.on("data", (chunk) => {
          answer += chunk;
        });
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text: answer }),
        );
        response.on("error", reject);
      },
    );
    // The server may answer, and close, before it has read all.
    request.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "EPIPE" || error.code === "ECONNRESET"
        ? resolve({ status: 0, headers: {}, text: "" })
        : reject(error),
    );
    request.setTimeout(60_000, () => request.destroy(new Error("no answer in 60 s")));
    request.end(body.bytes);
  });
}

/** Bookings of a tenant, once none of its calls is under way in the background; a sandbox's hold stays while it runs. */
async function bookingsOf(tenant: TestTenant): Promise<number> {
  return until("nothing is held", async () => {
    const [row] = await stack.sql`
      select (select count(*) from spend.reservations where tenant_id = ${tenant.id} and status = 'held' and resource_type = 'llm')::int as held,
        (select count(*) from spend.cost_events where tenant_id = ${tenant.id})::int as events`;
    return row?.held === 0 ? { events: row.events as number } : null;
  }).then(({ events }) => events);
}

const secretsOf = () => [
  victim.tenant.name,
  victim.user.email,
  "secret talk",
  stack.keys.secret,
  stack.keys.jwtSecret,
];

async function checkEndpoint(caller: Caller, input: Input): Promise<void> {
  const before = await bookingsOf(caller.tenant);
  const { status, headers, text } = await send(input);
  if (status >= 500) {
    const name = NAMED[status];
    const { error } = JSON.parse(text);
    expect([status, error?.code ?? error]).toEqual([status, name]);
  }
  expect(tells(text + JSON.stringify(headers), secretsOf())).toBeNull();
  expect(headers["x-injected"]).toBeUndefined();
  // What was refused has cost nothing; what the provider failed at may have.
  if (status >= 400 && status !== 502) {
    expect([status, await bookingsOf(caller.tenant)]).toEqual([status, before]);
  }
}

async function stateOf({ tenant }: Caller) {
  return stack.sql`
    select b.quota_id, b.slot, b.spent_usd, b.reserved_usd from spend_private.quota_balances as b
    where b.tenant_id = ${tenant.id} order by 1, 2`;
}

it(`${ENDPOINT_INPUTS} requests to the endpoints get no 5xx but the named, tell nothing, and change nobody else's balance`, {
  timeout: 300_000,
}, async () => {
  const before = await stateOf(victim);
  await Promise.all(
    callers.map((caller, worker) =>
      fc.assert(
        fc.asyncProperty(inputs(caller), (input) => checkEndpoint(caller, input)),
        { numRuns: Math.ceil(ENDPOINT_INPUTS / WORKERS), seed: seed + worker },
      ),
    ),
  );
  expect(await stateOf(victim)).toEqual(before);
  for (const { tenant } of callers) await bookingsOf(tenant);
  expect(await verifyBalances(stack.sql)).toEqual([]);
});

it(`${RPC_INPUTS} requests of a user and of a stranger to the Data API's functions are refused, or read what they may`, {
  timeout: 120_000,
}, async () => {
  // The local Data API runs in this process, and prints what it answers with.
  const silenced = vi.spyOn(console, "error").mockImplementation(() => {});
  const before = await stateOf(victim);
  const functions = await stack.sql<{ name: string }[]>`
    select distinct p.proname as name from pg_proc as p
    where p.pronamespace = 'spend'::regnamespace`;
  await Promise.all(
    callers.map((caller, worker) => {
      const body = fc.oneof(
        fc.constantFrom(
          { tenant_id: victim.tenant.id, amount_usd: -100, reason: "x" },
          { tenant_id: victim.tenant.id, user_id: victim.user.id, resource_type: "llm", usage: {} },
          { group_by: ["tenant", "user", "conversation"], tenant_id: victim.tenant.id },
        ),
        json,
      );
      const input = fc.record({
        method: fc.constantFrom("POST", "POST", "GET", "PATCH"),
        path: fc.constantFrom(...functions).map(({ name }) => `/rest/v1/rpc/${name}`),
        headers: fc.constantFrom(caller.user.jwt, stack.keys.publishable).map((token) => ({
          authorization: `Bearer ${token}`,
          apikey: stack.keys.publishable,
          "content-type": "application/json",
          "content-profile": "spend",
          "accept-profile": "spend",
        })),
        body: body.chain(bytes),
      });
      return fc.assert(
        fc.asyncProperty(input, async (each) => {
          // Which status a broken request gets is the local Data API's own matter; what it tells and does is ours.
          const { text } = await send(each);
          expect(secretsOf().find((secret) => text.includes(secret))).toBeUndefined();
        }),
        { numRuns: Math.ceil(RPC_INPUTS / WORKERS), seed: seed + worker },
      );
    }),
  );
  silenced.mockRestore();
  expect(await stateOf(victim)).toEqual(before);
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
