// The dashboard: built when its sources changed, and served at /dashboard.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { PROJECT } from "./paths.ts";
import { StackError } from "./ports.ts";

const FOLDER = join(PROJECT, "dashboard");
const DIST = join(FOLDER, "dist");

/** What a build is made of: other files do not change it. */
const SOURCES = ["src", "public", "index.html", "example.html", "vite.config.ts", "package.json"];

/** Builds dashboard/dist, unless it is what these sources make. */
export async function buildDashboard(report: (line: string) => void = () => {}): Promise<void> {
  const hash = await sourcesHash();
  if ((await builtHash()) === hash) return;
  report("building the dashboard");
  // Beside each other two builds would write into one folder.
  const folder = `${DIST}.${process.pid}`;
  const vite = join(PROJECT, "node_modules/vite/bin/vite.js");
  try {
    await promisify(execFile)(
      process.execPath,
      [vite, "build", "--outDir", folder, "--emptyOutDir"],
      {
        cwd: FOLDER,
        // Whatever runs this: a test would have React in its development form.
        env: { ...process.env, NODE_ENV: "production" },
      },
    );
    await writeFile(join(folder, ".sources"), hash);
    // Another process was faster, and may serve its build already.
    if ((await builtHash()) === hash) return;
    await rm(DIST, { recursive: true, force: true });
    await rename(folder, DIST);
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    if ((await builtHash()) !== hash) {
      if (/\b(EACCES|EPERM|EROFS)\b/.test(`${stderr}${message}`)) {
        throw new StackError(
          `The dashboard cannot be built into ${FOLDER}. Make it yours: \`sudo chown -R "$(id -un)" ${FOLDER}\`.`,
        );
      }
      throw new StackError(`The dashboard cannot be built. Run \`npm ci\`.\n${stderr || message}`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function builtHash(): Promise<string> {
  return readFile(join(DIST, ".sources"), "utf8").catch(() => "");
}

async function sourcesHash(): Promise<string> {
  const hash = createHash("sha256");
  const add = async (path: string) =>
    hash.update(`${path}\n`).update(await readFile(join(FOLDER, path)));
  for (const source of SOURCES) {
    if (extname(source)) await add(source);
    else {
      const entries = await readdir(join(FOLDER, source), { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile());
      const paths = files.map(({ parentPath, name }) =>
        join(parentPath, name).slice(FOLDER.length + 1),
      );
      for (const path of paths.sort()) await add(path);
    }
  }
  // The versions that it is built with.
  return hash.update(await readFile(join(PROJECT, "package-lock.json"))).digest("hex");
}

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
};

/** What a build is told where it is served: the contents of config.json. */
export interface DashboardConfig {
  url: string;
  publishableKey: string;
  /** Auth sends mail: who signs in may ask for a one-time code. */
  emailCodes?: true;
}

/** Answers a request for a file of the build, or for config.json. */
export async function serveDashboard(
  request: IncomingMessage,
  response: ServerResponse,
  config: DashboardConfig,
): Promise<void> {
  const path = new URL(request.url ?? "/", config.url).pathname.slice("/dashboard".length);
  if (path === "") {
    response.writeHead(308, { location: "/dashboard/" }).end();
    return;
  }
  if (path === "/config.json") return send(response, ".json", JSON.stringify(config));
  // A name of a file, in the build's folder or in its only sub-folder.
  const name = path === "/" ? "/index.html" : path;
  const content = /^(\/assets)?\/[\w-][\w.-]*$/.test(name)
    ? await readFile(join(DIST, name)).catch(() => undefined)
    : undefined;
  if (content === undefined) {
    response.writeHead(404, { "content-type": "text/plain" });
    response.end("There is no such file. `npm run dashboard:build` builds the dashboard.\n");
    return;
  }
  response.setHeader("content-security-policy", contentSecurityPolicy(config.url));
  send(response, extname(name), content, name.startsWith("/assets/"));
}

function send(
  response: ServerResponse,
  type: string,
  content: string | Buffer,
  isFixed = false,
): void {
  response.writeHead(200, {
    "content-type": TYPES[type] ?? "application/octet-stream",
    "x-content-type-options": "nosniff",
    // Names in assets/ change with their contents.
    "cache-control": isFixed ? "public, max-age=31536000, immutable" : "no-cache",
  });
  response.end(content);
}

/** Only what was built runs, and it talks to the project alone. Charts set styles of their own. */
function contentSecurityPolicy(url: string): string {
  return [
    "default-src 'self'",
    `connect-src 'self' ${url}`,
    "img-src 'self' data:",
    "style-src 'self' 'unsafe-inline'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'self'",
  ].join("; ");
}
