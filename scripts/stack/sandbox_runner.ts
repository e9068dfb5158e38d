// Runs under Deno without any permission: the inside of a stand-in's sandbox. Takes code on standard input, one JSON
// object a line, and answers in the lines of the code interpreter's protocol. What code leaves in globalThis stays
// for the next run, as in a notebook. `{"interrupt": true}` ends code that waits for something, as a KeyboardInterrupt
// does; code that waits for nothing does not hear it.
import { AsyncLocalStorage } from "node:async_hooks";

declare const Deno: {
  stdin: { readable: ReadableStream<Uint8Array> };
  stdout: { writeSync(bytes: Uint8Array): number };
  inspect(value: unknown): string;
};

declare function addEventListener(
  type: "unhandledrejection",
  listener: (event: { preventDefault(): void }) => void,
): void;

interface Run {
  code: string;
  language: string;
}

const encoder = new TextEncoder();
const format = (values: unknown[]) =>
  `${values.map((value) => (typeof value === "string" ? value : Deno.inspect(value))).join(" ")}\n`;

function emit(line: Record<string, unknown>): void {
  let bytes = encoder.encode(`${JSON.stringify(line)}\n`);
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

class Interrupt extends Error {
  override readonly name = "KeyboardInterrupt";
}

/** The run that a piece of code belongs to, whenever it goes on; one that was interrupted prints no more. */
interface Present {
  isInterrupted: boolean;
  interrupt(): void;
}
const presents = new AsyncLocalStorage<Present>();
let present: Present | undefined;

function print(type: "stdout" | "stderr", values: unknown[]): void {
  if (presents.getStore()?.isInterrupted) throw new Interrupt();
  emit({ type, text: format(values) });
}
for (const name of ["log", "info", "debug"] as const) {
  console[name] = (...values) => print("stdout", values);
}
for (const name of ["warn", "error"] as const) {
  console[name] = (...values) => print("stderr", values);
}
// What is left of interrupted code ends here.
addEventListener("unhandledrejection", (event) => event.preventDefault());

async function execute({ code, language }: Run): Promise<unknown> {
  if (language === "typescript") {
    const url = `data:application/typescript;base64,${btoa(String.fromCharCode(...encoder.encode(code)))}`;
    await import(url);
    return undefined;
  }
  if (language !== "javascript") {
    throw Object.assign(
      new Error(`The local stand-in runs javascript and typescript, not ${language}.`),
      { name: "UnsupportedLanguage" },
    );
  }
  try {
    // biome-ignore lint/security/noGlobalEval: this is what the process is for.
    return await globalThis.eval(code);
  } catch (error) {
    if (!(error instanceof SyntaxError) || !/\bawait\b/.test(code)) throw error;
    // biome-ignore lint/security/noGlobalEval: with await, the code is the body of a function.
    return await globalThis.eval(`(async () => {${code}\n})()`);
  }
}

async function run(asked: Run): Promise<void> {
  let interrupt = (_: Interrupt) => {};
  const interrupted = new Promise<never>((_, reject) => {
    interrupt = reject;
  });
  const self: Present = {
    isInterrupted: false,
    interrupt() {
      self.isInterrupted = true;
      interrupt(new Interrupt());
    },
  };
  present = self;
  try {
    const value = await Promise.race([presents.run(self, () => execute(asked)), interrupted]);
    if (value !== undefined) {
      emit({ type: "result", text: Deno.inspect(value), is_main_result: true });
    }
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    emit({
      type: "error",
      name: error.name,
      value: error.message,
      traceback: `${error.name}: ${error.message}`,
    });
  }
  present = undefined;
  emit({ type: "end_of_execution" });
}

const decoder = new TextDecoder();
let buffer = "";
let last = Promise.resolve();
for await (const chunk of Deno.stdin.readable) {
  buffer += decoder.decode(chunk, { stream: true });
  for (;;) {
    const end = buffer.indexOf("\n");
    if (end === -1) break;
    const asked: Run & { interrupt?: boolean } = JSON.parse(buffer.slice(0, end));
    buffer = buffer.slice(end + 1);
    if (asked.interrupt) present?.interrupt();
    else last = last.then(() => run(asked));
  }
}
