// A stand-in for the Management API, as far as `supabase functions deploy --use-api` needs it: it keeps what is uploaded.
import { mkdir, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { dirname, join } from "node:path";
import { startServer } from "./server.ts";

/** What was uploaded of a function. */
export interface Upload {
  metadata: {
    name: string;
    verify_jwt: boolean;
    entrypoint_path: string;
    import_map_path: string;
    static_patterns: string[];
  };
  /** By their paths in the project. */
  files: Map<string, Buffer>;
}

export interface ManagementApi {
  url: string;
  uploads: Map<string, Upload>;
  /** Functions that were made live. */
  live: string[];
  /** Writes a profile of the Supabase CLI that names this server. */
  writeProfile(path: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startManagementApi(): Promise<ManagementApi> {
  const uploads: ManagementApi["uploads"] = new Map();
  const live: string[] = [];
  const server = await startServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://localhost");
    const slug = searchParams.get("slug") ?? "";
    const body = await readBytes(request);
    const answer = (status: number, json: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
    if (request.method === "POST" && pathname.endsWith("/functions/deploy")) {
      uploads.set(slug, await readUpload(request, body));
      return answer(201, { id: slug, slug, name: slug, status: "ACTIVE", version: 1 });
    }
    if (request.method === "PUT" && pathname.endsWith("/functions")) {
      const functions = JSON.parse(body.toString()) as { slug: string }[];
      live.push(...functions.map(({ slug }) => slug));
      return answer(200, { functions });
    }
    if (request.method === "GET" && pathname.endsWith("/functions")) return answer(200, []);
    const ref = /^\/v1\/projects\/(\w+)$/.exec(pathname)?.[1];
    if (ref) return answer(200, { id: ref, ref, name: "test", status: "ACTIVE_HEALTHY" });
    answer(404, { message: `no ${request.method} ${pathname} here` });
  });
  return {
    ...server,
    uploads,
    live,
    async writeProfile(path) {
      const names = ["api_url", "dashboard_url", "docs_url"];
      const urls = names.map((name) => `${name}: ${server.url}\n`);
      await writeFile(path, `name: test\n${urls.join("")}project_host: localhost\n`);
    },
  };
}

async function readBytes(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A part `metadata`, and a part `file` for each file. */
async function readUpload(request: IncomingMessage, body: Buffer): Promise<Upload> {
  const headers = { "content-type": request.headers["content-type"] ?? "" };
  const form = await new Response(body, { headers }).formData();
  const files = form.getAll("file") as File[];
  return {
    metadata: JSON.parse(await textOf(form.get("metadata"))),
    files: new Map(
      await Promise.all(
        files.map(async (file) => [file.name, Buffer.from(await file.arrayBuffer())] as const),
      ),
    ),
  };
}

async function textOf(part: File | string | null): Promise<string> {
  return typeof part === "string" ? part : ((await part?.text()) ?? "");
}

/** Writes the uploaded files into a folder. */
export async function unpack({ files }: Upload, folder: string): Promise<void> {
  for (const [path, content] of files) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, content);
  }
}
