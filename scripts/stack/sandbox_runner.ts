// Runs under Deno without any permission: the inside of a stand-in's sandbox. Takes code on standard input, one JSON
// object a line, and answers in the lines of the code interpreter's protocol. What code leaves in globalThis stays
// for the next run, as in a notebook.

declare const Deno: {
  stdin: { readable: ReadableStream<Uint8Array> };
  stdout: { writeSync(bytes: Uint8Array): number };
  inspect(value: unknown): string;
};

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

for (const name of ["log", "info", "debug"] as const) {
  console[name] = (...values) => emit({ type: "stdout", text: format(values) });
}
for (const name of ["warn", "error"] as const) {
  console[name] = (...values) => emit({ type: "stderr", text: format(values) });
}

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

async function run(line: string): Promise<void> {
  try {
    const value = await execute(JSON.parse(line));
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
  emit({ type: "end_of_execution" });
}

const decoder = new TextDecoder();
let buffer = "";
for await (const chunk of Deno.stdin.readable) {
  buffer += decoder.decode(chunk, { stream: true });
  for (;;) {
    const end = buffer.indexOf("\n");
    if (end === -1) break;
    const line = buffer.slice(0, end);
    buffer = buffer.slice(end + 1);
    await run(line);
  }
}
