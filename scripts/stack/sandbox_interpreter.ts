// The code interpreter of a stand-in's sandbox, and what can go wrong with it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate } from "node:timers/promises";
import { PROJECT } from "./paths.ts";

/** What an interpreter does wrong. */
export interface RunFault {
  /** It takes the code and gives no answer, not even headers. */
  isSilent?: boolean;
  /** It takes the code and breaks the connection. */
  breaksConnection?: boolean;
  /** It breaks the connection so long after it took the code. */
  breaksAfterMs?: number;
  /** It answers these texts as they are, in chunks of their own, in the place of running the code. */
  says?: string[];
  /** It says the last of these again and again, until nobody reads any more. */
  repeats?: boolean;
  /** It writes a line of so many bytes to standard output. */
  lineBytes?: number;
  /** It fails with a traceback of so many bytes. */
  tracebackBytes?: number;
  /** It sends its answer byte by byte, as bytes of UTF-8 and no escapes. */
  splitsBytes?: boolean;
  /** Its answer stays open when the code has ended. */
  staysOpen?: boolean;
  /** It does not notice that nobody reads any more, and lets the code run on. */
  ignoresClose?: boolean;
}

interface Run {
  code: string;
  language: string;
}

const LANGUAGES = ["javascript", "typescript"];
const END = '{"type":"end_of_execution"}';
const INTERRUPT_MS = 200;
const MEGABYTE = 1_000_000;

/** A Deno process that is started at the first run, and again after it died. Runs one code at a time. */
export class Interpreter {
  private child: ChildProcess | undefined;
  private last: Promise<void> = Promise.resolve();
  private count = 0;
  private onLine: (line: string) => void = () => {};
  private onExit: () => void = () => {};

  constructor(private readonly deno: string) {}

  async run(run: Run, response: ServerResponse, fault: RunFault = {}): Promise<void> {
    if (fault.isSilent) return;
    if (fault.breaksConnection) {
      response.destroy();
      return;
    }
    if (fault.breaksAfterMs) setTimeout(() => response.destroy(), fault.breaksAfterMs).unref();
    // Headers say nothing of the code: others may come first.
    response.writeHead(200, { "content-type": "application/x-ndjson" }).flushHeaders();
    if (fault.says || fault.lineBytes || fault.tracebackBytes) return play(response, fault);
    this.last = this.last.then(() => this.execute(run, response, fault)).catch(() => {});
    await this.last;
  }

  /** One process runs all languages that there are. */
  contexts() {
    return LANGUAGES.map((language) => ({ id: `${language}-1`, language, cwd: "/home/user" }));
  }

  /** What runs ends, and the variables are gone. */
  restart(): void {
    this.onLine('{"type":"error","name":"ContextRestarting","value":"","traceback":""}');
    this.onLine(END);
    this.stop();
  }

  stop(): void {
    const { child } = this;
    this.child = undefined;
    child?.kill("SIGKILL");
    this.onExit();
  }

  freeze(): void {
    this.child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.child?.kill("SIGCONT");
  }

  private async execute(run: Run, response: ServerResponse, fault: RunFault): Promise<void> {
    if (response.destroyed) return;
    const child = this.start();
    const write = (line: string) => {
      const bytes = Buffer.from(`${line}\n`);
      if (!fault.splitsBytes) response.write(bytes);
      else for (const byte of bytes) response.write(Buffer.of(byte));
    };
    let isUnderWay = true;
    await new Promise<void>((resolve) => {
      const done = () => {
        isUnderWay = false;
        this.onLine = () => {};
        this.onExit = () => {};
        resolve();
      };
      // Nobody reads any more: the code is interrupted, and what comes next waits until it has ended. Code that does not
      // hear it would in Python; here its process is ended.
      response.once("close", () => {
        if (response.writableEnded || fault.ignoresClose) return;
        child.stdin?.write('{"interrupt":true}\n');
        setTimeout(() => this.child === child && isUnderWay && this.stop(), INTERRUPT_MS).unref();
      });
      this.onLine = (line) => {
        write(line);
        if (line !== END) return;
        if (!fault.staysOpen) response.end();
        done();
      };
      this.onExit = () => {
        response.destroy();
        done();
      };
      write(JSON.stringify({ type: "number_of_executions", execution_count: ++this.count }));
      child.stdin?.write(`${JSON.stringify(run)}\n`);
    });
  }

  private start(): ChildProcess {
    if (this.child) return this.child;
    const runner = join(PROJECT, "scripts/stack/sandbox_runner.ts");
    const child = spawn(
      this.deno,
      [
        ...["run", "--quiet", "--no-prompt", "--no-config", "--no-lock", "--no-npm", "--no-remote"],
        "--v8-flags=--max-old-space-size=128",
        runner,
      ],
      {
        stdio: ["pipe", "pipe", "ignore"],
        // Nothing of ours: the code could not read it, and need not.
        env: { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: "1" },
      },
    );
    child.stdin?.on("error", () => {});
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      if (this.child === child) this.onLine(line);
    });
    child.once("exit", () => {
      if (this.child !== child) return;
      this.child = undefined;
      this.onExit();
    });
    this.child = child;
    return child;
  }
}

/** Answers what a fault says in the place of running code. */
async function play(response: ServerResponse, fault: RunFault): Promise<void> {
  const says = fault.says ?? [];
  for (const text of says) await say(response, text);
  while (fault.repeats && !response.destroyed) await say(response, says.at(-1) ?? "");
  if (fault.lineBytes) {
    await say(response, '{"type":"stdout","text":"');
    await sayMany(response, fault.lineBytes);
    await say(response, '"}\n');
  }
  if (fault.tracebackBytes) {
    await say(response, '{"type":"error","name":"ValueError","value":"too much","traceback":"');
    await sayMany(response, fault.tracebackBytes);
    await say(response, '"}\n');
  }
  if (!fault.says) await say(response, `${END}\n`);
  if (!fault.staysOpen) response.end();
}

async function sayMany(response: ServerResponse, bytes: number): Promise<void> {
  const megabyte = "x".repeat(MEGABYTE);
  for (let left = bytes; left > 0 && !response.destroyed; left -= MEGABYTE) {
    await say(response, megabyte.slice(0, left));
  }
}

/** A chunk of its own; resolved when there is room for more, or nobody reads. */
async function say(response: ServerResponse, text: string): Promise<void> {
  if (response.destroyed) return;
  if (response.write(text)) return setImmediate();
  const read = new AbortController();
  const { signal } = read;
  await Promise.race([once(response, "drain", { signal }), once(response, "close", { signal })]);
  read.abort();
}
