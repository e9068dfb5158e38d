// What a browser has to load, and how it is served.
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { buildDashboard, serveDashboard } from "../../scripts/stack/dashboard.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";

const DIST = join(PROJECT, "dashboard/dist");

interface Chunk {
  file: string;
  imports?: string[];
  css?: string[];
}

let manifest: Record<string, Chunk>;
let server: Server;
let url: string;

beforeAll(async () => {
  await buildDashboard();
  manifest = JSON.parse(readFileSync(join(DIST, ".vite/manifest.json"), "utf8"));
  server = createServer((request, response) =>
    serveDashboard(request, response, {
      url: "http://127.0.0.1:1",
      publishableKey: "sb_publishable_x",
    }),
  );
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}, 120_000);

afterAll(() => server?.close());

/** Files that a module needs before it runs. */
function filesOf(module: string, seen = new Set<string>()): Set<string> {
  const chunk = manifest[module];
  if (!chunk) throw new Error(`${module} is not in the build`);
  seen.add(chunk.file);
  for (const file of chunk.css ?? []) seen.add(file);
  for (const name of chunk.imports ?? []) {
    if (!seen.has(manifest[name]?.file ?? "")) filesOf(name, seen);
  }
  return seen;
}

function kilobytes(files: Iterable<string>): number {
  return (
    [...files].reduce((sum, file) => sum + gzipSync(readFileSync(join(DIST, file))).length, 0) /
    1000
  );
}

it("the first screen takes less than 200 kB before its chart, and Recharts is not among them", () => {
  const first = new Set([...filesOf("index.html"), ...filesOf("src/tenant/overview.tsx")]);
  expect(kilobytes(first)).toBeLessThan(200);
  expect(first).not.toContain(manifest["src/ui/bars.tsx"]?.file);
});

it("<SpendMeter> and useSpend take less than 5 kB, without React and supabase-js", async () => {
  vi.stubEnv("NODE_ENV", "production");
  const built = await build({
    configFile: false,
    logLevel: "silent",
    build: {
      write: false,
      lib: { entry: join(PROJECT, "dashboard/src/meter/index.ts"), formats: ["es"] },
      rolldownOptions: { external: [/^react/] },
      minify: true,
    },
  });
  vi.unstubAllEnvs();
  const [{ output }] = built as unknown as [{ output: { code: string; imports: string[] }[] }];
  expect(output).toHaveLength(1);
  expect(output[0]?.imports.toSorted()).toEqual(["react", "react/jsx-runtime"]);
  expect(gzipSync(output[0]?.code ?? "").length).toBeLessThan(5000);
});

it("config.json has the project's URL and publishable key", async () => {
  const response = await fetch(`${url}/dashboard/config.json`);
  expect(await response.json()).toEqual({
    url: "http://127.0.0.1:1",
    publishableKey: "sb_publishable_x",
  });
});

it("the page may run what was built and call the project, and nothing else", async () => {
  const moved = await fetch(`${url}/dashboard`, { redirect: "manual" });
  expect([moved.status, moved.headers.get("location")]).toEqual([308, "/dashboard/"]);
  const page = await fetch(`${url}/dashboard/`);
  expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(page.headers.get("content-security-policy")).toContain(
    "connect-src 'self' http://127.0.0.1:1;",
  );
  expect(page.headers.get("cache-control")).toBe("no-cache");
  const [, script] = /src="\.\/(assets\/[^"]+\.js)"/.exec(await page.text()) ?? [];
  const asset = await fetch(`${url}/dashboard/${script}`);
  expect(asset.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
  expect(asset.headers.get("cache-control")).toContain("immutable");
});

it.each([
  "/dashboard/..%2fpackage.json",
  "/dashboard/.sources",
  "/dashboard/.vite/manifest.json",
  "/dashboard/nothing.js",
])("%s is no file of the page", async (path) => {
  expect((await fetch(url + path)).status).toBe(404);
});

it("sources that did not change are not built again", async () => {
  const lines: string[] = [];
  await buildDashboard((line) => lines.push(line));
  expect(lines).toEqual([]);
});
