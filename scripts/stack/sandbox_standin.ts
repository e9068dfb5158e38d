// The stand-in for E2B: a real HTTP server that speaks the protocol of the SDKs e2b and @e2b/code-interpreter, as
// far as this project calls them, and runs the code it is given in a Deno process without permissions.
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { findDeno } from "./binaries.ts";
import { assertPortFree } from "./ports.ts";
import { Interpreter, type RunFault } from "./sandbox_interpreter.ts";
import { parseRudeness, type Rudeness } from "./sandbox_rudeness.ts";
import { localSettings } from "./settings.ts";

export type SandboxOperation =
  | "create"
  | "get"
  | "list"
  | "timeout"
  | "pause"
  | "connect"
  | "kill"
  | "health"
  | "run"
  | "contexts"
  | "restart";

export interface SandboxJournalEntry {
  operation: SandboxOperation;
  sandboxId: string | null;
  /** The body as it came; of a run, without its code. */
  body: unknown;
  status: number;
  at: Date;
  /** Run: when its answer ended, or nobody read it any more. */
  closedAt?: Date;
}

/** What the next matching calls meet. Each is used up `times` times, once when left out. */
export interface SandboxFault {
  operation: SandboxOperation;
  times?: number;
  /** Milliseconds before the call is looked at. */
  delayMs?: number;
  /** Milliseconds between doing it and its answer. */
  answerDelayMs?: number;
  /** Answers this instead of doing it. */
  status?: number;
  /** Headers of that answer. */
  headers?: Record<string, string>;
  /** Words of that answer. */
  message?: string;
  /** With `status`: does it all the same, so many milliseconds after the answer. */
  appliesAfterMs?: number;
  /** Does it, and closes the connection without an answer. */
  loseAnswer?: boolean;
  /** Create: the sandbox began so many seconds ago; its time-out with it. */
  startedSecondsAgo?: number;
  /** Run: what the interpreter does wrong. */
  run?: RunFault;
}

/** What a call meets that no fault was set for. */
export type Weather = (operation: SandboxOperation) => Omit<SandboxFault, "operation"> | undefined;

export interface StandInSandbox {
  id: string;
  template: string;
  metadata: Record<string, string>;
  state: "running" | "paused" | "ended";
  /** When it was started or, later, resumed; milliseconds. */
  startedAt: number;
  firstStartedAt: number;
  endAt: number;
  /** Whole intervals that it ran before the present one: begin and end, milliseconds. */
  ran: [number, number][];
  /** When it was killed, timed out or was lost; milliseconds. */
  endedAt?: number;
  token: string;
}

export interface SandboxStandIn {
  url: string;
  journal: SandboxJournalEntry[];
  /** All sandboxes there ever were, by id. */
  sandboxes: Map<string, StandInSandbox>;
  fault(fault: SandboxFault): void;
  /** What it does to all calls from now on; `{}`: nothing any more. */
  rude(rudeness: Rudeness): void;
  /** What calls meet for which no fault is set. */
  weather(weather: Weather | undefined): void;
  /** Milliseconds that a sandbox ran, all its intervals together. */
  ranMs(sandboxId: string): number;
  /** The sandbox is gone, as when its machine died. */
  lose(sandboxId: string): void;
  /** So many seconds pass for this sandbox, at once. */
  age(sandboxId: string, seconds: number): void;
  /** Forgets faults, rudeness, weather and the journal. */
  reset(): void;
  stop(): Promise<void>;
}

/** Calls that go to the sandbox itself. */
const INSIDE = new Set<SandboxOperation>(["health", "run", "contexts", "restart"]);
const ENVD_PORT = "49983";
const INTERPRETER_PORT = "49999";
const DEFAULT_TIMEOUT_SECONDS = 15;
const VCPUS = 2;
const MEMORY_MB = 512;
const MAX_BODY_BYTES = 10_000_000;

class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export async function startSandboxStandIn(port?: number): Promise<SandboxStandIn> {
  if (port !== undefined) await assertPortFree(port, "stand-in for E2B");
  const standIn = new StandIn(await findDeno());
  const { rudeness } = localSettings();
  if (rudeness) standIn.rudeness = parseRudeness(rudeness);
  const server = createServer((request, response) => {
    standIn.handle(request, response).catch((error) => {
      console.error("stand-in for E2B:", error);
      response.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(port ?? 0, "127.0.0.1", resolve));
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${bound}`,
    journal: standIn.journal,
    sandboxes: standIn.sandboxes,
    fault: (fault) => standIn.faults.push({ ...fault, times: fault.times ?? 1 }),
    rude: (rudeness) => {
      standIn.rudeness = parseRudeness(rudeness);
    },
    weather: (weather) => {
      standIn.weather = weather;
    },
    ranMs: (id) => standIn.ranMs(id),
    lose: (id) => standIn.end(standIn.living(id)),
    age: (id, seconds) => standIn.age(standIn.living(id), seconds),
    reset() {
      standIn.journal.length = 0;
      standIn.faults.length = 0;
      standIn.rudeness = {};
      standIn.weather = undefined;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const sandbox of standIn.sandboxes.values()) standIn.end(sandbox);
      server.closeAllConnections();
      await closed;
    },
  };
}

/** What of a request matters here. */
interface Call {
  operation: SandboxOperation;
  sandboxId: string | null;
  query: URLSearchParams;
  body: Record<string, unknown>;
}

interface Answer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

class StandIn {
  readonly journal: SandboxJournalEntry[] = [];
  readonly faults: (SandboxFault & { times?: number })[] = [];
  readonly sandboxes = new Map<string, StandInSandbox>();
  rudeness: Rudeness = {};
  weather: Weather | undefined;
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private readonly interpreters = new Map<string, Interpreter>();

  constructor(private readonly deno: string) {}

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url?.startsWith("/__standin/")) {
      return send(response, await this.control(request));
    }
    const call = await readCall(request);
    if (call === null) return send(response, failure(404, "There is no such path."));
    const isInside = INSIDE.has(call.operation);
    if (!isInside && !request.headers["x-api-key"]) {
      return send(response, failure(401, "The API key is missing."));
    }

    const fault = this.takeFault(call.operation);
    if (fault?.delayMs) await sleep(fault.delayMs);
    if (isInside && fault?.status === undefined) return this.inside(call, fault, request, response);
    let answer: Answer;
    try {
      if (fault?.status) throw new ApiError(fault.status, fault.message ?? "Told to fail.");
      answer = this.answer(call, fault);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      answer = { ...failure(error.status, error.message), headers: fault?.headers };
    }
    if (fault?.status && fault.appliesAfterMs !== undefined) this.applyLater(call, fault);
    const created = (answer.body as { sandboxID?: string } | undefined)?.sandboxID;
    this.record(call, answer.status, created ?? call.sandboxId);
    if (fault?.answerDelayMs) await sleep(fault.answerDelayMs);
    if (fault?.loseAnswer) response.destroy();
    else send(response, answer);
  }

  /** What a developer asks and tells the stand-in: its journal, its rudeness, its faults. */
  private async control(request: IncomingMessage): Promise<Answer> {
    const path = (request.url ?? "").slice("/__standin/".length);
    const body = await readBody(request);
    switch (`${request.method} ${path}`) {
      case "GET journal":
        return { status: 200, body: this.journal };
      case "GET rudeness":
        return { status: 200, body: this.rudeness };
      case "PUT rudeness":
        try {
          this.rudeness = parseRudeness(body);
        } catch (error) {
          return failure(400, (error as Error).message);
        }
        return { status: 200, body: this.rudeness };
      case "POST faults":
        this.faults.push({ times: 1, ...(body as unknown as SandboxFault) });
        return { status: 201, body: this.faults };
      default:
        return failure(404, "There is no such path.");
    }
  }

  private applyLater(call: Call, fault: SandboxFault): void {
    const apply = () => {
      try {
        this.answer(call, fault);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
      }
    };
    setTimeout(apply, fault.appliesAfterMs).unref();
  }

  ranMs(id: string): number {
    const sandbox = this.sandboxes.get(id);
    if (!sandbox) return 0;
    const until = sandbox.state === "running" ? Date.now() : (sandbox.endedAt ?? 0);
    const present = sandbox.state === "paused" ? 0 : Math.max(until - sandbox.startedAt, 0);
    return sandbox.ran.reduce((sum, [from, to]) => sum + to - from, present);
  }

  living(id: string | null): StandInSandbox {
    const sandbox = this.sandboxes.get(id ?? "");
    if (!sandbox || sandbox.state === "ended") throw new ApiError(404, `Sandbox ${id} not found`);
    return sandbox;
  }

  age(sandbox: StandInSandbox, seconds: number): void {
    sandbox.startedAt -= seconds * 1000;
    sandbox.firstStartedAt -= seconds * 1000;
    if (sandbox.state === "running") this.endAt(sandbox, sandbox.endAt - seconds * 1000);
    else sandbox.endAt -= seconds * 1000;
  }

  end(sandbox: StandInSandbox): void {
    if (sandbox.state === "ended") return;
    const wasPaused = sandbox.state === "paused";
    sandbox.state = "ended";
    sandbox.endedAt = Date.now();
    // What a paused one ran is told already.
    if (wasPaused) sandbox.startedAt = sandbox.endedAt;
    clearTimeout(this.timers.get(sandbox.id));
    this.interpreters.get(sandbox.id)?.stop();
    this.interpreters.delete(sandbox.id);
  }

  private takeFault(operation: SandboxOperation): SandboxFault | undefined {
    const index = this.faults.findIndex((fault) => fault.operation === operation);
    const fault = this.faults[index];
    if (fault === undefined) {
      const weather = this.weather?.(operation);
      return weather && { operation, ...weather };
    }
    fault.times = (fault.times ?? 1) - 1;
    if (fault.times <= 0) this.faults.splice(index, 1);
    return fault;
  }

  private record(call: Call, status: number, sandboxId = call.sandboxId): void {
    const { code, ...body } = call.body;
    this.journal.push({ operation: call.operation, sandboxId, body, status, at: new Date() });
  }

  private answer(call: Call, fault: SandboxFault | undefined): Answer {
    switch (call.operation) {
      case "create":
        return { status: 201, body: describeCreated(this.create(call.body, fault)) };
      case "list":
        return this.list(call.query);
    }
    const sandbox = this.living(call.sandboxId);
    switch (call.operation) {
      case "get":
        return { status: 200, body: this.describe(sandbox) };
      case "timeout":
        if (sandbox.state === "paused") throw new ApiError(404, "The sandbox is paused.");
        this.endIn(sandbox, Number(call.body.timeout));
        return { status: 204 };
      case "pause":
        if (sandbox.state === "paused") throw new ApiError(409, "The sandbox is paused already.");
        this.pause(sandbox);
        return { status: 204 };
      case "connect":
        return this.connect(sandbox, Number(call.body.timeout ?? DEFAULT_TIMEOUT_SECONDS));
      default:
        if (!this.rudeness.ignoresKill) this.end(sandbox);
        return { status: 204 };
    }
  }

  private create(body: Record<string, unknown>, fault: SandboxFault | undefined): StandInSandbox {
    if (typeof body.templateID !== "string") throw new ApiError(400, "templateID is missing.");
    const startedAt = Date.now() - (fault?.startedSecondsAgo ?? 0) * 1000;
    const timeout = Number(body.timeout ?? DEFAULT_TIMEOUT_SECONDS);
    const sandbox: StandInSandbox = {
      id: `i${randomBytes(10).toString("hex")}`,
      template: body.templateID,
      metadata: (body.metadata ?? {}) as Record<string, string>,
      state: "running",
      startedAt,
      firstStartedAt: startedAt,
      endAt: startedAt,
      ran: [],
      token: randomBytes(16).toString("hex"),
    };
    this.sandboxes.set(sandbox.id, sandbox);
    this.endAt(sandbox, startedAt + timeout * 1000);
    return sandbox;
  }

  private endIn(sandbox: StandInSandbox, seconds: number): void {
    this.endAt(sandbox, Date.now() + seconds * 1000);
  }

  /** The sandbox ends by itself at that time, in milliseconds. */
  private endAt(sandbox: StandInSandbox, time: number): void {
    if (!Number.isFinite(time)) throw new ApiError(400, "timeout is not a number of seconds.");
    const { maxLifeSeconds = Number.POSITIVE_INFINITY } = this.rudeness;
    sandbox.endAt = Math.min(time, sandbox.startedAt + maxLifeSeconds * 1000);
    clearTimeout(this.timers.get(sandbox.id));
    const timer = setTimeout(() => this.end(sandbox), sandbox.endAt - Date.now());
    timer.unref();
    this.timers.set(sandbox.id, timer);
  }

  private list(query: URLSearchParams): Answer {
    const wanted = [...new URLSearchParams(query.get("metadata") ?? "")].map(
      ([key, value]) => [decodeURIComponent(key), decodeURIComponent(value)] as const,
    );
    const states = (query.get("state") ?? "running").split(",");
    const { ignoresMetadata, ignoresState, pageSize, repeatsPageToken } = this.rudeness;
    const limit = pageSize ?? Number(query.get("limit") ?? 100);
    const start = Number(query.get("nextToken") ?? 0);
    const found = [...this.sandboxes.values()].filter(
      (sandbox) =>
        sandbox.state !== "ended" &&
        (ignoresState || states.includes(sandbox.state)) &&
        (ignoresMetadata || wanted.every(([key, value]) => sandbox.metadata[key] === value)),
    );
    const more = repeatsPageToken || start + limit < found.length;
    const next = repeatsPageToken ? start : start + limit;
    return {
      status: 200,
      body: found.slice(start, start + limit).map((sandbox) => this.describe(sandbox)),
      headers: more ? { "x-next-token": String(next) } : {},
    };
  }

  private pause(sandbox: StandInSandbox): void {
    sandbox.state = "paused";
    sandbox.endAt = Date.now();
    sandbox.ran.push([sandbox.startedAt, sandbox.endAt]);
    clearTimeout(this.timers.get(sandbox.id));
    this.interpreters.get(sandbox.id)?.freeze();
  }

  /** Resumes a paused sandbox. Of a running one the time-out is only ever put off, never shortened. */
  private connect(sandbox: StandInSandbox, asked: number): Answer {
    const { shortensOnConnect, resumesForSeconds, connectsToAnother } = this.rudeness;
    if (connectsToAnother) {
      const { template, metadata } = sandbox;
      const another = this.create({ templateID: template, metadata, timeout: asked }, undefined);
      return { status: 201, body: describeCreated(another) };
    }
    const resumed = sandbox.state === "paused";
    const seconds = resumed ? (resumesForSeconds ?? asked) : asked;
    if (resumed) {
      sandbox.state = "running";
      sandbox.startedAt = Date.now();
      this.interpreters.get(sandbox.id)?.thaw();
    }
    const isLonger = Date.now() + seconds * 1000 > sandbox.endAt;
    if (resumed || isLonger || shortensOnConnect) this.endIn(sandbox, seconds);
    return { status: resumed ? 201 : 200, body: describeCreated(sandbox) };
  }

  private describe(sandbox: StandInSandbox) {
    const { clockSkewSeconds = 0, keepsFirstStart, size, facts } = this.rudeness;
    const told = (time: number) => new Date(time + clockSkewSeconds * 1000).toISOString();
    return {
      sandboxID: sandbox.id,
      templateID: sandbox.template,
      clientID: "standin",
      startedAt: told(keepsFirstStart ? sandbox.firstStartedAt : sandbox.startedAt),
      endAt: told(sandbox.endAt),
      state: sandbox.state,
      cpuCount: size?.cpuCount ?? VCPUS,
      memoryMB: size?.memoryMB ?? MEMORY_MB,
      diskSizeMB: 1024,
      envdVersion: "0.4.0",
      metadata: sandbox.metadata,
      ...facts,
    };
  }

  /** Calls that go to the sandbox itself, not to the API. */
  private async inside(
    call: Call,
    fault: SandboxFault | undefined,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const sandbox = this.sandboxes.get(call.sandboxId ?? "");
    if (sandbox?.state !== "running") {
      this.record(call, 502);
      return send(response, failure(502, "The sandbox was not found"));
    }
    if (request.headers["x-access-token"] !== sandbox.token) {
      this.record(call, 401);
      return send(response, failure(401, "The access token is wrong."));
    }
    this.record(call, call.operation === "health" ? 204 : 200);
    if (call.operation === "health") return send(response, { status: 204 });

    const interpreter = this.interpreters.get(sandbox.id) ?? new Interpreter(this.deno);
    this.interpreters.set(sandbox.id, interpreter);
    if (call.operation === "contexts") {
      return send(response, { status: 200, body: interpreter.contexts() });
    }
    if (call.operation === "restart") {
      interpreter.restart();
      return send(response, { status: 200, body: null });
    }
    const entry = this.journal.at(-1) as SandboxJournalEntry;
    response.once("close", () => {
      entry.closedAt = new Date();
    });
    const run = { code: String(call.body.code), language: languageOf(call.body.language) };
    await interpreter.run(run, response, fault?.run);
  }
}

async function readCall(request: IncomingMessage): Promise<Call | null> {
  const url = new URL(request.url ?? "/", "http://stand-in");
  const body = await readBody(request);
  const port = request.headers["e2b-sandbox-port"];
  const call = (operation: SandboxOperation, sandboxId: string | null): Call => ({
    operation,
    sandboxId,
    query: url.searchParams,
    body,
  });
  const route = `${request.method} ${url.pathname}`;
  if (typeof port === "string") {
    const id = String(request.headers["e2b-sandbox-id"]);
    if (port === ENVD_PORT && route === "GET /health") return call("health", id);
    if (port === INTERPRETER_PORT && route === "POST /execute") return call("run", id);
    if (port === INTERPRETER_PORT && route === "GET /contexts") return call("contexts", id);
    if (port === INTERPRETER_PORT && /^POST \/contexts\/[\w-]+\/restart$/.test(route)) {
      return call("restart", id);
    }
    return null;
  }
  if (route === "POST /v2/sandboxes") return call("create", null);
  if (route === "GET /v2/sandboxes") return call("list", null);
  const [, method, id = "", action = ""] =
    /^(\w+) (?:\/v2)?\/sandboxes\/(\w+)(?:\/(\w+))?$/.exec(route) ?? [];
  const operations: Record<string, SandboxOperation> = {
    "GET ": "get",
    "DELETE ": "kill",
    "POST timeout": "timeout",
    "POST pause": "pause",
    "POST connect": "connect",
  };
  const operation = operations[`${method} ${action}`];
  return operation === undefined ? null : call(operation, id);
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += chunk;
    if (text.length > MAX_BODY_BYTES) throw new Error("the body is too large");
  }
  return text === "" ? {} : JSON.parse(text);
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  response.writeHead(status, { ...headers, "content-type": "application/json" });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

function failure(status: number, message: string): Answer {
  return { status, body: { code: status, message } };
}

function describeCreated(sandbox: StandInSandbox) {
  return {
    sandboxID: sandbox.id,
    templateID: sandbox.template,
    clientID: "standin",
    envdVersion: "0.4.0",
    envdAccessToken: sandbox.token,
    domain: null,
  };
}

/** Names and short names of languages, as the code interpreter takes them. */
function languageOf(language: unknown): string {
  const name = String(language ?? "python").toLowerCase();
  return { js: "javascript", ts: "typescript" }[name] ?? name;
}
