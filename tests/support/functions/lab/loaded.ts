// Runs under Deno: answers a request, and prints which packages of OpenTelemetry that loaded, and whether a timer runs on.
import { createRequire } from "node:module";
import timers from "node:timers";

let intervals = 0;
for (const owner of [globalThis, timers]) {
  const { setInterval } = owner;
  owner.setInterval = ((...args: Parameters<typeof setInterval>) => {
    intervals++;
    return setInterval(...args);
  }) as typeof setInterval;
}

const { default: chat } = await import("../../../../functions/chat/index.ts");
await chat.fetch(new Request("http://localhost/chat", { method: "POST" }));

const loaded = Object.keys(createRequire(import.meta.url).cache ?? {}).flatMap(
  (file) => /@opentelemetry\/([^/]+)\/build\/src\/index/.exec(file)?.[1] ?? [],
);
const found = [...new Set(loaded), ...(intervals > 0 ? ["a timer"] : [])];
console.log(JSON.stringify(found.sort()));
// What is left (a question to the database) is not waited for.
Deno.exit(0);
