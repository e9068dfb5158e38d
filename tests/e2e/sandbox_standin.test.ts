// The real SDKs against the stand-in, for every call that the project makes.
import { Sandbox as CodeSandbox } from "@e2b/code-interpreter";
import { AuthenticationError, RateLimitError, Sandbox, SandboxNotFoundError } from "e2b";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type SandboxStandIn, startSandboxStandIn } from "../../scripts/stack/sandbox_standin.ts";
import { until } from "../support/until.ts";

let standIn: SandboxStandIn;
let options: { apiKey: string; apiUrl: string; sandboxUrl: string; retries: number };

beforeAll(async () => {
  standIn = await startSandboxStandIn();
  options = {
    apiKey: "e2b_0000000000000000000000000000000000000000",
    apiUrl: standIn.url,
    sandboxUrl: standIn.url,
    retries: 0,
  };
});
afterAll(() => standIn.stop());
beforeEach(() => standIn.reset());

it("The stand-in creates, gets and kills: it tells the times and the size, and a second kill answers that the sandbox is gone", async () => {
  const before = Date.now();
  const sandbox = await Sandbox.create("base", { ...options, timeoutMs: 60_000 });
  const info = await Sandbox.getInfo(sandbox.sandboxId, options);

  expect(info).toMatchObject({ state: "running", cpuCount: 2, memoryMB: 512, templateId: "base" });
  expect(info.startedAt.getTime()).toBeGreaterThanOrEqual(before);
  expect(info.endAt.getTime() - info.startedAt.getTime()).toBe(60_000);
  expect(await sandbox.isRunning()).toBe(true);
  expect(await Sandbox.kill(sandbox.sandboxId, options)).toBe(true);
  expect(await Sandbox.kill(sandbox.sandboxId, options)).toBe(false);
  expect(await sandbox.isRunning()).toBe(false);
  await expect(Sandbox.getInfo(sandbox.sandboxId, options)).rejects.toThrow(SandboxNotFoundError);
});

it("The stand-in lists by metadata and state, page by page", async () => {
  const metadata = { project: "http://127.0.0.1:1 & more" };
  const made = await Promise.all(
    Array.from({ length: 5 }, () => Sandbox.create("base", { ...options, metadata })),
  );
  await Sandbox.create("base", { ...options, metadata: { project: "another" } });
  await Sandbox.pause(made[0]?.sandboxId ?? "", options);

  const list = async (state: ("running" | "paused")[]) => {
    const pages = Sandbox.list({ ...options, query: { metadata, state }, limit: 2 });
    const found = [];
    while (pages.hasNext) found.push(...(await pages.nextItems()));
    return found;
  };

  expect(await list(["running"])).toHaveLength(4);
  expect((await list(["paused"])).map((sandbox) => sandbox.sandboxId)).toEqual([
    made[0]?.sandboxId,
  ]);
  const all = await list(["running", "paused"]);
  expect(all.map(({ sandboxId }) => sandboxId).sort()).toEqual(
    made.map(({ sandboxId }) => sandboxId).sort(),
  );
  expect(all[0]?.metadata).toEqual(metadata);
});

it("The stand-in's setTimeout moves the end, and its connect never brings the end nearer", async () => {
  const sandbox = await Sandbox.create("base", { ...options, timeoutMs: 60_000 });
  const left = async () =>
    Math.round(
      ((await Sandbox.getInfo(sandbox.sandboxId, options)).endAt.getTime() - Date.now()) / 1000,
    );

  await Sandbox.setTimeout(sandbox.sandboxId, 600_000, options);
  expect(await left()).toBe(600);
  await Sandbox.connect(sandbox.sandboxId, { ...options, timeoutMs: 1000 });
  expect(await left()).toBe(600);
});

it("The stand-in ends a sandbox whose time-out has passed", async () => {
  const sandbox = await Sandbox.create("base", { ...options, timeoutMs: 1000 });
  await until("the sandbox has ended", async () => !(await sandbox.isRunning()));
  const ended = standIn.sandboxes.get(sandbox.sandboxId);
  expect((ended?.endedAt ?? 0) - (ended?.startedAt ?? 0)).toBeGreaterThanOrEqual(999);
});

it("The stand-in runs code, streams what it prints, and keeps its state between runs and over a pause", async () => {
  const sandbox = await CodeSandbox.create({ ...options, timeoutMs: 60_000 });
  const printed: string[] = [];

  const first = await sandbox.runCode(
    "globalThis.n = 40; console.log('hello'); console.error('oh'); globalThis.n + 2",
    { language: "javascript", onStdout: ({ line }) => void printed.push(line) },
  );
  expect(first.text).toBe("42");
  expect(first.logs).toEqual({ stdout: ["hello\n"], stderr: ["oh\n"] });
  expect(printed).toEqual(["hello\n"]);

  expect(await Sandbox.pause(sandbox.sandboxId, options)).toBe(true);
  expect(await Sandbox.pause(sandbox.sandboxId, options)).toBe(false);
  expect((await Sandbox.getInfo(sandbox.sandboxId, options)).state).toBe("paused");
  const resumed = await CodeSandbox.connect(sandbox.sandboxId, { ...options, timeoutMs: 60_000 });
  const second = await resumed.runCode("await Promise.resolve(); return globalThis.n + 3", {
    language: "javascript",
  });
  expect(second.text).toBe("43");
});

it("The stand-in runs TypeScript, reports errors, and says which languages it has", async () => {
  const sandbox = await CodeSandbox.create({ ...options, timeoutMs: 60_000 });
  const typed = await sandbox.runCode("const n: number = 6; console.log(n * 7)", {
    language: "typescript",
  });
  expect(typed.logs.stdout).toEqual(["42\n"]);
  const failed = await sandbox.runCode("nothing.there", { language: "javascript" });
  expect(failed.error).toMatchObject({ name: "ReferenceError" });
  const python = await sandbox.runCode("print(1)", { language: "python" });
  expect(python.error?.name).toBe("UnsupportedLanguage");
});

it("The stand-in gives code neither files, nor the network, nor the environment, nor other programs", async () => {
  const sandbox = await CodeSandbox.create({ ...options, timeoutMs: 60_000 });
  for (const code of [
    "await Deno.readTextFile('/etc/passwd')",
    "await fetch('http://127.0.0.1:54321')",
    "Deno.env.get('HOME')",
    "new Deno.Command('id').outputSync()",
    "await import('node:fs').then((fs) => fs.readFileSync('/etc/passwd'))",
  ]) {
    const { error } = await sandbox.runCode(code, { language: "javascript" });
    expect([code, error?.name]).toEqual([code, "NotCapable"]);
  }
});

it("The stand-in stops a run that takes too long, and the sandbox can be used again", async () => {
  const sandbox = await CodeSandbox.create({ ...options, timeoutMs: 60_000 });
  await expect(
    sandbox.runCode("for (;;);", { language: "javascript", timeoutMs: 500 }),
  ).rejects.toThrow(/timed out/);
  const { text } = await sandbox.runCode("1 + 1", { language: "javascript" });
  expect(text).toBe("2");
});

it("The stand-in fails, is slow, and loses answers and sandboxes when it is told to", async () => {
  await expect(Sandbox.create("base", { ...options, apiKey: "" })).rejects.toThrow(
    AuthenticationError,
  );
  standIn.fault({ operation: "create", status: 429 });
  await expect(Sandbox.create("base", options)).rejects.toThrow(RateLimitError);
  standIn.fault({ operation: "create", delayMs: 1000 });
  await expect(Sandbox.create("base", { ...options, requestTimeoutMs: 100 })).rejects.toThrow();
  standIn.fault({ operation: "create", loseAnswer: true });
  await expect(Sandbox.create("base", { ...options, metadata: { lost: "1" } })).rejects.toThrow();
  const [lost] = await Sandbox.list({
    ...options,
    query: { metadata: { lost: "1" } },
  }).nextItems();
  expect(lost?.state).toBe("running");

  const sandbox = await CodeSandbox.create({ ...options, timeoutMs: 60_000 });
  standIn.lose(sandbox.sandboxId);
  await expect(sandbox.runCode("1")).rejects.toThrow(/sandbox/);
  // The slow one is made all the same: whoever asked does not know.
  await until(
    "the slow sandbox is made",
    () =>
      standIn.journal.filter(({ operation, status }) => operation === "create" && status === 201)
        .length === 3,
  );
});

it("The stand-in misbehaves as it is told to, over HTTP too, and says which switches there are", async () => {
  const put = (body: object) =>
    fetch(`${standIn.url}/__standin/rudeness`, { method: "PUT", body: JSON.stringify(body) });
  expect((await put({ shortensOnConnect: true, clockSkewSeconds: 30 })).status).toBe(200);
  const sandbox = await Sandbox.create("base", { ...options, timeoutMs: 60_000 });
  await Sandbox.connect(sandbox.sandboxId, { ...options, timeoutMs: 5000 });
  const { startedAt, endAt } = await Sandbox.getInfo(sandbox.sandboxId, options);
  expect((startedAt.getTime() - Date.now()) / 1000).toBeCloseTo(30, 0);
  expect((endAt.getTime() - Date.now()) / 1000).toBeCloseTo(35, 0);

  const wrong = await put({ shortens: true });
  expect(wrong.status).toBe(400);
  expect(await wrong.json()).toMatchObject({
    message: expect.stringContaining("repeatsPageToken"),
  });
  expect((await put({ pageSize: "two" })).status).toBe(400);
});

it("The stand-in fails, and does it later all the same", async () => {
  const sandbox = await Sandbox.create("base", { ...options, timeoutMs: 60_000 });
  const fault = { operation: "pause", status: 504, appliesAfterMs: 100 };
  await fetch(`${standIn.url}/__standin/faults`, { method: "POST", body: JSON.stringify(fault) });
  await expect(Sandbox.pause(sandbox.sandboxId, options)).rejects.toThrow(/504/);
  expect((await Sandbox.getInfo(sandbox.sandboxId, options)).state).toBe("running");
  await until("it is paused", async () => {
    const { state } = await Sandbox.getInfo(sandbox.sandboxId, options);
    return state === "paused";
  });
});
