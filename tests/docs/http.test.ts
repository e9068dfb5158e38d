// docs/reference/http.md against the functions: every route, every field of every body.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readEnv } from "../../functions/_shared/runtime/env.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { read } from "./pages.ts";

const PAGE = "docs/reference/http.md";

const env = readEnv({
  SUPABASE_URL: "http://localhost",
  SUPABASE_ANON_KEY: "key",
  SUPABASE_SERVICE_ROLE_KEY: "key",
});

it("docs/reference/http.md has every route of the functions, and no other", () => {
  const functions = readdirSync(join(PROJECT, "functions")).filter(
    (name) => !/^_|^example$|\./.test(name),
  );
  const routes = functions.flatMap((name) => {
    const found = read(`functions/${name}/index.ts`).matchAll(
      /"(\/[^"]*)": \{ (GET|POST|DELETE):/g,
    );
    return [...found].map(([, path = "", method]) => {
      const below = path === "/" ? "" : path.replaceAll(/:\w+\+?/g, "{id}");
      return `${method} /${name}${below}`;
    });
  });
  expect(routes.length).toBeGreaterThan(10);
  const table = read(PAGE).split(/^## /m)[0] ?? "";
  const documented = [...table.matchAll(/`((?:GET|POST|DELETE) [^`]+)`/g)].map(
    ([, route]) => route,
  );
  expect(documented.sort()).toEqual([...routes, "GET /{function}/health"].sort());
});

/** The fields that the table of an endpoint names. */
function documentedFields(endpoint: string): string[] {
  const section = read(PAGE).split(`## ${endpoint}\n`)[1]?.split(/^## /m)[0] ?? "";
  const [, table = ""] = section.split(/^\| field .*\n\| --- .*\n/m);
  const rows = table.split("\n\n")[0]?.split("\n") ?? [];
  return rows.flatMap((row) => {
    const [, names = ""] = row.split("|");
    return [...names.matchAll(/`(\w+)`/g)].map(([, name]) => name ?? "");
  });
}

/** Names of the fields of an object's schema. A path that is only known at run time keeps Deno's modules out of tsc. */
async function fieldsOf(file: string, name: string): Promise<string[]> {
  const module = await import(join(PROJECT, "functions", file));
  const schema = module[name](env);
  return Object.keys(schema.shape ?? schema.out.shape);
}

it.each([
  ["POST /chat", "chat/request.ts", "chatRequest"],
  ["POST /chat/compact", "chat/request.ts", "compactRequest"],
  ["POST /openai/responses", "openai/responses/request.ts", "responseRequest"],
  ["POST /openai/chat/completions", "openai/chat_request.ts", "chatCompletionRequest"],
  ["POST /sandbox", "sandbox/request.ts", "openRequest"],
  ["POST /sandbox/{id}/run", "sandbox/request.ts", "runRequest"],
])("docs/reference/http.md has every field of %s, and no other", async (endpoint, file, name) => {
  const fields = await fieldsOf(file, name);
  expect(fields.length).toBeGreaterThan(3);
  expect(documentedFields(endpoint).sort()).toEqual(fields.sort());
});

it.each([
  ["POST /openai/embeddings", "embeddings.ts", "embeddingRequest"],
  ["POST /openai/audio/speech", "speech.ts", "speechRequest"],
  ["POST /openai/audio/transcriptions", "transcriptions.ts", "transcriptionRequest"],
  ["POST /openai/images/generations", "images.ts", "imageRequest"],
  ["POST /openai/moderations", "moderations.ts", "moderationRequest"],
])("docs/reference/http.md has every field of %s, and no other", (endpoint, file, name) => {
  const schema = new RegExp(`const ${name} = z\\.strictObject\\(\\{(.*?)^\\}\\);`, "ms").exec(
    read(`functions/openai/${file}`),
  )?.[1];
  const fields = [...(schema ?? "").matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name);
  expect(fields.length).toBeGreaterThan(1);
  expect(documentedFields(endpoint).sort()).toEqual(fields.sort());
});
