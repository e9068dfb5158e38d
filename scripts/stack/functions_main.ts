// Runs under Deno: the platform's router, in one process. Not part of any function.
// The first segment of the path names the function; its folder is imported at its first call.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

type Handler = { fetch(request: Request): Response | Promise<Response> };

declare const Deno: {
  args: string[];
  exit(code: number): never;
  stdin: { readable: ReadableStream<Uint8Array> };
  serve(
    options: { hostname: string; port: number; onListen(address: { port: number }): void },
    handler: (request: Request) => Response | Promise<Response>,
  ): { shutdown(): Promise<void> };
};

const DRAIN_SECONDS = 10;
/** Seconds before the end at which it is announced, as the platform does. */
const NOTICE_SECONDS = 4;

const folder = Deno.args[0] ?? "functions";
const handlers = new Map<string, Promise<Handler | null>>();
const background = new Set<Promise<unknown>>();

Object.assign(globalThis, {
  EdgeRuntime: {
    waitUntil(promise: Promise<unknown>): void {
      const tracked = Promise.resolve(promise)
        .catch((error) => console.error("background task failed:", error))
        .finally(() => background.delete(tracked));
      background.add(tracked);
    },
  },
});

// One function's mistake must not take the others down.
(globalThis as unknown as EventTarget).addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  console.error("unhandled rejection:", (event as Event & { reason: unknown }).reason);
});

/** Sources, or a bundle. */
async function load(name: string): Promise<Handler | null> {
  return (await loadFile(name, "index.ts")) ?? (await loadFile(name, "index.js"));
}

async function loadFile(name: string, index: string): Promise<Handler | null> {
  const file = pathToFileURL(resolve(folder, name, index)).href;
  try {
    return ((await import(file)) as { default: Handler }).default;
  } catch (error) {
    const missing =
      (error as { code?: string }).code === "ERR_MODULE_NOT_FOUND" && `${error}`.includes(file);
    if (!missing) throw error;
    return null;
  }
}

function refuse(status: number, code: string, message: string): Response {
  return Response.json({ code, message }, { status });
}

async function dispatch(request: Request): Promise<Response> {
  const name = new URL(request.url).pathname.split("/")[1] ?? "";
  if (!/^[a-z][a-z0-9_-]*$/.test(name)) {
    return refuse(404, "NOT_FOUND", "Requested function was not found");
  }
  let handler = handlers.get(name);
  if (handler === undefined) {
    handler = load(name);
    handlers.set(name, handler);
  }
  try {
    const found = await handler;
    if (found === null) {
      handlers.delete(name);
      return refuse(404, "NOT_FOUND", "Requested function was not found");
    }
    return await found.fetch(request);
  } catch (error) {
    console.error(`function ${name}:`, error);
    return refuse(500, "WORKER_ERROR", "Function failed; see the log of the stack");
  }
}

const server = Deno.serve(
  {
    hostname: "127.0.0.1",
    port: 0,
    onListen: ({ port }) => console.log(`listening ${port}`),
  },
  dispatch,
);

// Our parent holds our standard input open: its end says stop, and so does the parent's death.
for await (const _ of Deno.stdin.readable);
const deadline = new Promise<void>((done) => setTimeout(done, DRAIN_SECONDS * 1000));
setTimeout(
  () => (globalThis as unknown as EventTarget).dispatchEvent(new Event("beforeunload")),
  (DRAIN_SECONDS - NOTICE_SECONDS) * 1000,
);
const drained = (async () => {
  await server.shutdown();
  while (background.size > 0) await Promise.all(background);
})();
await Promise.race([drained, deadline]);
Deno.exit(0);
