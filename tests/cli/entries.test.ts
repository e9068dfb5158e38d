// The package's entries, from the packed tarball, as the examples of packages/spendgate/examples use them: in plain Node, a
// route handler as Next has it, a Hono server, Deno; with a provider of one's own.
import { type ChildProcess, spawn } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findDeno } from "../../scripts/stack/binaries.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { blocksOf } from "../docs/pages.ts";
import { startServer } from "../support/server.ts";
import { verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";
import { type InstalledPackage, installPackage, PACKAGE_MS, runNode } from "./package.ts";

let installed: InstalledPackage;
let stack: TestStack;
let env: Record<string, string>;
const servers: ChildProcess[] = [];

beforeAll(async () => {
  [installed, stack] = await Promise.all([installPackage(), startTestStack()]);
  const provider = stack.services.providers?.url;
  env = {
    SUPABASE_URL: stack.url,
    SUPABASE_SECRET_KEY: stack.keys.secret,
    SUPABASE_PUBLISHABLE_KEY: stack.keys.publishable,
    OPENAI_API_KEY: "local",
    OPENAI_BASE_URL: `${provider}/v1`,
    E2B_API_KEY: `e2b_${"0".repeat(40)}`,
    E2B_API_URL: stack.sandboxes.url,
    E2B_SANDBOX_URL: stack.sandboxes.url,
  };
  const examples = join(PROJECT, "packages/spendgate/examples");
  for (const file of await readdir(examples)) {
    await copyFile(join(examples, file), join(installed.folder, file));
  }
  await writeFile(join(installed.folder, "serve.mjs"), SERVE);
  // The peers, and what the examples use besides: as installed here.
  for (const name of [
    "ai",
    "@ai-sdk/openai",
    "@ai-sdk/openai-compatible",
    "@e2b/code-interpreter",
    "hono",
    "@hono/node-server",
  ]) {
    const target = join(installed.folder, "node_modules", name);
    await mkdir(dirname(target), { recursive: true });
    await symlink(join(PROJECT, "node_modules", name), target);
  }
}, PACKAGE_MS);
afterAll(async () => {
  for (const server of servers) server.kill();
  await stack?.stop();
  await installed?.remove();
});

/** Serves a module's `fetch`, or its POST, on a free port, and prints which. */
const SERVE = `
import { serve } from "@hono/node-server";
const module = await import(process.argv[2]);
const fetch = module.default?.fetch ?? module.POST;
serve({ fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => console.log("port", port));
`;

const EMBED = `
import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, wrapEmbeddingModel } from "ai";
import { createGate } from "spendgate";
import { meteredEmbeddingMiddleware } from "spendgate/ai";
const openai = createOpenAI({ apiKey: "local", baseURL: process.env.OPENAI_BASE_URL });
const [tenantId, userId] = process.argv.slice(2);
let cost;
const model = wrapEmbeddingModel({
  model: openai.embeddingModel("text-embedding-3-small"),
  middleware: meteredEmbeddingMiddleware(
    { gate: createGate(), tenantId, userId, task: "search" },
    { onCost: ({ costUsd }) => { cost = costUsd; } },
  ),
});
const { embeddings } = await embedMany({ model, values: ["one", "two"], maxRetries: 0 });
while (cost === undefined) await new Promise((next) => setTimeout(next, 10));
console.log(embeddings.length + " vectors for $" + cost);
`;

const DOORS = `
import { createGate } from "spendgate";
const gate = createGate();
const [tenantId, userId] = process.argv.slice(2);
const usage = (input_tokens, model = "gpt-4o") => ({ provider: "openai", model, input_tokens, output_tokens: 0 });
const call = (tokens, more = {}) => ({ tenantId, userId, resourceType: "llm", usage: usage(tokens), ...more });
const code = (promise) => promise.then(() => "none", (error) => [error.code, error.details.reason].filter(Boolean).join(" "));
const first = await gate.reserve(call(3600));
const extended = await code(gate.extend(first.id, usage(8000)));
const { reservationId: _, isEstimated: __, ...released } = await gate.release(first.id, "not sent");
const second = await gate.reserve(call(1000));
const { status, costUsd } = await gate.settle(second.id, usage(1000));
const third = await gate.reserve(call(100));
const { status: ended, isEstimated } = await gate.settle(third.id, null);
console.log(JSON.stringify({
  warnings: first.warnings.map(({ resourceType }) => resourceType),
  extended,
  released,
  settled: { status, costUsd },
  estimate: { status: ended, isEstimated },
  unpriced: await code(gate.reserve(call(1, { usage: usage(1, "gpt-of-nobody") }))),
  stranger: await code(gate.reserve(call(1, { userId: crypto.randomUUID() }))),
}));
`;

async function member(limitUsd = 1): Promise<{ user: TestUser; tenant: TestTenant }> {
  const user = await stack.signUp();
  const tenant = await stack.createTenant({ members: [user] });
  await stack.sql`
    update spend.cost_quotas set limit_usd = ${limitUsd} where tenant_id = ${tenant.id} and resource_type = 'llm'`;
  return { user, tenant };
}

const run = (file: string, ...args: string[]) =>
  runNode(installed.folder, join(installed.folder, file), args, env);

const calls = ({ id }: TestTenant) => stack.sql`
  select status, task, product, actual_cost_usd::float8 as usd, is_estimated as estimated
  from spend.reservations where tenant_id = ${id} order by created_at`;

async function start(program: string, args: string[], ready: RegExp): Promise<string> {
  const child = spawn(program, args, {
    cwd: installed.folder,
    env: { PATH: process.env.PATH, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  servers.push(child);
  let printed = "";
  let port: string | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream as NodeJS.ReadableStream }).on("line", (line) => {
      printed += `${line}\n`;
      port ??= ready.exec(line)?.[1];
    });
  }
  await until("it listens", () => port !== undefined || child.exitCode !== null);
  if (port === undefined) throw new Error(printed);
  return `http://127.0.0.1:${port}`;
}

const post = (url: string, user: TestUser | undefined, body: object, headers = {}) =>
  fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(user && { authorization: `Bearer ${user.jwt}` }),
      ...headers,
    },
    body: JSON.stringify(body),
  });

describe("plain Node", () => {
  it("reserves, calls and settles (gate.mjs); what has no room is refused, and the provider not called", async () => {
    const { user, tenant } = await member();
    const done = await run("gate.mjs", tenant.id, user.id);
    expect(done).toMatchObject({ code: 0, err: "" });
    expect(done.out).not.toBe("");
    expect(await calls(tenant)).toMatchObject([
      { status: "settled", task: "script", product: "gpt-4o-mini", estimated: false },
    ]);
    await stack.sql`update spend.cost_quotas set limit_usd = 0.00001 where tenant_id = ${tenant.id}`;
    const before = stack.journal().length;
    const refused = await run("gate.mjs", tenant.id, user.id);
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/^quota_exceeded: /);
    expect(stack.journal()).toHaveLength(before);
  });

  it("meters a model of the AI SDK over one's own provider (ai.mjs), and tells the cost", async () => {
    const { user, tenant } = await member();
    const { code, out, err } = await run("ai.mjs", tenant.id, user.id);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const [call] = await calls(tenant);
    expect(call).toMatchObject({ status: "settled", task: "title", estimated: false });
    expect(out).toContain(`openai/gpt-4o-mini cost $${call?.usd}`);
  });

  it("books a deployment with a name of one's own at the price that is named (azure.mjs), streamed", async () => {
    const { user, tenant } = await member();
    const { code, out, err } = await run("azure.mjs", tenant.id, user.id);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).not.toBe("");
    await until("it is booked", async () => (await calls(tenant))[0]?.status === "settled");
    expect(await calls(tenant)).toMatchObject([{ product: "gpt-4o-mini", estimated: false }]);
    expect(stack.journal().at(-1)?.body).toMatchObject({ model: "our-deployment" });
  });

  it.each([
    ["is not there", undefined, { status: "released", usd: 0 }],
    ["refuses with 401", [401, '{"error":{"message":"no"}}'], { status: "released", usd: 0 }],
    ["answers what nobody can read", [200, "<html>"], { status: "settled", estimated: true }],
    ["gives up with 504", [504, ""], { status: "settled", estimated: true }],
  ] as const)(
    "of a provider that %s, only what it may charge is booked",
    async (_, answer, booked) => {
      const { user, tenant } = await member();
      const provider = await startServer((_request, response) => {
        const [status, body] = answer ?? [500, ""];
        response.writeHead(status, { "content-type": "application/json" }).end(body);
      });
      if (answer === undefined) await provider.stop();
      const own = { ...env, OPENAI_BASE_URL: `${provider.url}/v1` };
      const file = join(installed.folder, "ai.mjs");
      const ran = await runNode(installed.folder, file, [tenant.id, user.id], own);
      expect(ran.code).toBe(1);
      expect(ran.err).toContain("upstream_error");
      await until("it is booked", async () => (await calls(tenant))[0]?.status !== "held");
      expect(await calls(tenant)).toMatchObject([booked]);
      if (answer !== undefined) await provider.stop();
    },
  );

  it("meters a model of embeddings, at what its provider reports", async () => {
    const { user, tenant } = await member();
    const file = join(installed.folder, "embed.mjs");
    await writeFile(file, EMBED);
    const { code, out, err } = await runNode(installed.folder, file, [tenant.id, user.id], env);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const [call] = await calls(tenant);
    expect(call).toMatchObject({
      status: "settled",
      task: "search",
      product: "text-embedding-3-small",
      estimated: false,
    });
    expect(out).toBe(`2 vectors for $${call?.usd}\n`);
  });

  it("reserves, extends, releases and settles one by one, and tells what a quota near its limit has left", async () => {
    const { user, tenant } = await member(0.01);
    const file = join(installed.folder, "doors.mjs");
    await writeFile(file, DOORS);
    const { code, out, err } = await runNode(installed.folder, file, [tenant.id, user.id], env);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(out)).toEqual({
      warnings: ["llm"],
      extended: "quota_exceeded exceeds_limit",
      released: { status: "released", costUsd: 0 },
      settled: { status: "settled", costUsd: 0.0025 },
      estimate: { status: "settled", isEstimated: true },
      unpriced: "unpriced_product",
      stranger: "not_a_member",
    });
  });

  it("holds and books a sandbox (sandbox.mjs)", async () => {
    const { user, tenant } = await member();
    const { code, out, err } = await run("sandbox.mjs", tenant.id, user.id);
    expect({ code, err, out }).toEqual({ code: 0, err: "", out: "42\n" });
    expect(await calls(tenant)).toMatchObject([{ status: "settled", task: "report" }]);
  });

  it("says what is missing, without a key in the words", async () => {
    const { err, code } = await runNode(
      installed.folder,
      join(installed.folder, "gate.mjs"),
      ["t"],
      {
        SUPABASE_URL: "",
      },
    );
    expect(code).toBe(1);
    expect(err).toContain("Missing or wrong: SUPABASE_URL, SUPABASE_SECRET_KEYS.");
  });
});

describe("a server", () => {
  it("answers a member of a tenant, and 401, 403, 429 to others (route.mjs, as Next has it)", async () => {
    const url = await start(process.execPath, ["serve.mjs", "./route.mjs"], /^port (\d+)$/);
    const { user, tenant } = await member();
    const answer = await post(url, user, { text: "Hello" });
    expect([answer.status, Object.keys((await answer.json()) as object)]).toEqual([200, ["title"]]);
    expect(answer.headers.get("x-spendgate-reservation")).toMatch(/^[\da-f-]{36}$/);
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    await until("it is booked", async () => (await calls(tenant))[0]?.status === "settled");
    expect(await calls(tenant)).toMatchObject([{ task: "title", estimated: false }]);

    expect((await post(url, undefined, {})).status).toBe(401);
    expect((await post(url, await stack.signUp(), {})).status).toBe(403);
    await stack.sql`update spend.cost_quotas set limit_usd = 0.00001 where tenant_id = ${tenant.id}`;
    const refused = await post(url, user, { text: "Hello" });
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({
      error: "quota_exceeded",
      quotaDetails: { scope: "tenant", limitUsd: 0.00001 },
    });
    // What the handler itself throws has words that nobody is told.
    const broken = await post(url, user, { text: 5 });
    expect([broken.status, await broken.json()]).toEqual([
      500,
      { error: "internal_error", message: "Something went wrong here." },
    ]);
    expect((await fetch(url, { method: "OPTIONS" })).status).toBe(204);
  });

  it("streams from Hono, refuses with 429 before the stream, and takes a backend with the secret key (hono.mjs)", async () => {
    const url = await start(process.execPath, ["serve.mjs", "./hono.mjs"], /^port (\d+)$/);
    const { user, tenant } = await member();
    const answer = await post(`${url}/chat`, user, { prompt: "Hello" });
    expect(answer.status).toBe(200);
    expect(await answer.text()).not.toBe("");
    const backend = {
      authorization: `Bearer ${stack.keys.secret}`,
      "x-spendgate-tenant": tenant.id,
      "x-spendgate-user": user.id,
    };
    expect((await post(`${url}/chat`, undefined, { prompt: "Hello" }, backend)).status).toBe(200);
    await until(
      "both are booked",
      async () => (await calls(tenant)).filter(({ status }) => status === "settled").length === 2,
    );
    await stack.sql`update spend.cost_quotas set limit_usd = 0.00001 where tenant_id = ${tenant.id}`;
    expect((await post(`${url}/chat`, user, { prompt: "Hello" })).status).toBe(429);
  });

  it("lets tenantOf say who pays, and refuses a tenant that the user is not in", async () => {
    await writeFile(
      join(installed.folder, "chosen.mjs"),
      `import { createGate } from "spendgate";
       import { gated } from "spendgate/server";
       const tenantOf = (request) => new URL(request.url).searchParams.get("tenant");
       const gate = createGate();
       const usage = { provider: "openai", model: "gpt-4o", input_tokens: 1, output_tokens: 0 };
       export const POST = gated(gate, { tenantOf }, async ({ tenantId, userId }) => {
         const call = { tenantId, userId, resourceType: "llm", usage };
         await gate.withReservation(call, async () => ({ value: 1, usage }));
         return Response.json({ tenantId });
       });`,
    );
    const url = await start(process.execPath, ["serve.mjs", "./chosen.mjs"], /^port (\d+)$/);
    const { user, tenant } = await member();
    const other = await stack.createTenant({ members: [user] });
    const paid = await post(`${url}?tenant=${other.id}`, user, {});
    expect(await paid.json()).toEqual({ tenantId: other.id });
    expect([await calls(tenant), await calls(other)]).toMatchObject([[], [{ task: "chat" }]]);
    const { tenant: foreign } = await member();
    const refused = await post(`${url}?tenant=${foreign.id}`, user, {});
    expect([refused.status, await refused.json()]).toMatchObject([403, { error: "not_a_member" }]);
  });

  it("runs on Deno 2.9 (deno.ts)", async () => {
    const args = [
      "serve",
      "--quiet",
      "--no-prompt",
      "--node-modules-dir=manual",
      "--allow-net",
      "--allow-env",
      "--allow-read",
      "--allow-sys=hostname",
      "--host",
      "127.0.0.1",
      "--port",
      "0",
    ];
    const url = await start(
      await findDeno(),
      [...args.filter((arg) => arg !== "--quiet"), "deno.ts"],
      /:(\d+)\/?/,
    );
    const { user, tenant } = await member();
    const answer = await post(url, user, {});
    expect([answer.status, await answer.json()]).toEqual([200, { sky: "blue" }]);
    expect(await calls(tenant)).toMatchObject([
      { status: "settled", task: "weather", usd: 0.000135 },
    ]);
  });
});

describe("spendgate/client", () => {
  it("is read by a browser's bundler with nothing else, in less than 2.5 kB", async () => {
    const { outputFiles } = await build({
      stdin: {
        contents: 'export { spendgateError } from "spendgate/client";',
        resolveDir: installed.folder,
      },
      bundle: true,
      minify: true,
      platform: "browser",
      format: "esm",
      write: false,
    });
    expect(outputFiles[0]?.contents.length).toBeLessThan(2500);
  });

  it("reads a refusal of the functions", async () => {
    const { user } = await member(0.00001);
    const response = await stack.call("/chat", {
      user,
      json: { model: "openai/gpt-4o-mini", messages: [{ role: "user", content: "Hello" }] },
    });
    const { readSpendgateError } = await import(join(installed.root, "dist/client.js"));
    expect(await readSpendgateError(response)).toMatchObject({
      code: "quota_exceeded",
      status: 429,
      quota: { scope: "tenant" },
    });
  });
});

it("The examples' types fit: tsc reads them in the folder of a program", async () => {
  const tsc = join(PROJECT, "node_modules/typescript/bin/tsc");
  await writeFile(
    join(installed.folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        module: "nodenext",
        target: "es2023",
        lib: ["es2023", "dom"],
        strict: true,
        noEmit: true,
        skipLibCheck: false,
        types: [],
        preserveSymlinks: false,
      },
      files: ["typed.ts", "deno.ts"],
    }),
  );
  await writeFile(
    join(installed.folder, "typed.ts"),
    `import { createGate, SpendgateError, type Spender } from "spendgate";
import { spendgateError, type QuotaDetails } from "spendgate/client";
import { gated } from "spendgate/server";
const gate = createGate({ url: "https://x.supabase.co", secretKey: "sb_secret_x", settings: {} });
const spender: Spender = { gate, tenantId: "t" };
export const handler = gated(gate, { task: "t" }, async ({ tenantId }) => Response.json({ tenantId, spender }));
export const quota: QuotaDetails | undefined = spendgateError(new SpendgateError("not_found", "x"))?.quota;
// @ts-expect-error there is no such resource
await gate.reserve({ tenantId: "t", resourceType: "gpu", usage: {} });
`,
  );
  const { code, out } = await runNode(installed.folder, tsc, ["-p", installed.folder]);
  expect({ code, out }).toEqual({ code: 0, out: "" });
});

it("publint and attw find nothing wrong", async () => {
  const bin = (name: string) => join(PROJECT, "node_modules", name);
  const lint = await runNode(installed.root, bin("publint/src/cli.js"), [
    "--strict",
    installed.tarball,
  ]);
  expect(lint.code, lint.out).toBe(0);
  const attw = bin("@arethetypeswrong/cli/dist/index.js");
  const types = await runNode(installed.root, attw, ["--profile", "esm-only", installed.tarball]);
  expect(types.code, types.out).toBe(0);
});

it("What the examples spent is in the books", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
  const manifest = JSON.parse(await readFile(join(installed.root, "package.json"), "utf8"));
  expect(Object.keys(manifest.exports)).toEqual([
    ".",
    "./ai",
    "./server",
    "./e2b",
    "./client",
    "./package.json",
  ]);
  expect(manifest.dependencies).toBeUndefined();
});

it("docs/guides/package.md shows the examples that run here", async () => {
  const shown = blocksOf("docs/guides/package.md").filter(({ language }) => language === "ts");
  const folder = join(PROJECT, "packages/spendgate/examples");
  const files = await readdir(folder);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  expect(shown.map(({ code }) => code).sort()).toEqual(texts.sort());
});
