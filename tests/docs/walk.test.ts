// A newcomer's walk: the shell commands of a page, typed in their order, on a stack that runs.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { findSupabase } from "../../scripts/stack/binaries.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";
import { blocksOf } from "./pages.ts";

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack();
});
afterAll(() => stack.stop());

/** What the commands of a page that ask the stack print. */
async function walk(page: string, before = ""): Promise<string> {
  const commands = blocksOf(page)
    .filter(
      ({ language, code }) => language === "sh" && /\b(curl|supabase db query)\b|^URL=/m.test(code),
    )
    .map(({ code }) => code)
    .join("\n")
    .replaceAll("http://127.0.0.1:54321", stack.url)
    .replaceAll("http://127.0.0.1:54326", stack.sandboxes.url)
    .replaceAll("<publishable key>", stack.keys.publishable)
    .replaceAll("npx supabase db query", '"$SUPABASE" db query --yes "--remote=$DATABASE"');
  expect(commands).not.toBe("");
  const env = {
    ...process.env,
    SUPABASE: await findSupabase(),
    DATABASE: `${stack.database.url}?sslmode=disable`,
  };
  const script = `set -euo pipefail\n${before}\n${commands}`;
  const { stdout } = await promisify(execFile)("bash", ["-c", script], { cwd: PROJECT, env });
  return stdout;
}

it("README.md leads from the sign-up to an answer, what it cost and a 429", {
  timeout: 120_000,
}, async () => {
  const printed = await walk("README.md");
  expect(printed).toContain('"type":"data-spendgate"');
  expect(printed).toMatch(/^HTTP\/1\.1 200 /m);
  expect(printed).toContain("150.00");
  expect(printed).toMatch(/^HTTP\/1\.1 429 /m);
  expect(printed).toContain('"error":"quota_exceeded"');
  await stack.sql`delete from auth.users where email = 'ada@example.com'`;
});

it("docs/getting-started.md leads to a call, a refusal and code that prints 42", {
  timeout: 120_000,
}, async () => {
  const printed = await walk("docs/getting-started.md");
  expect(printed).toContain('"type":"data-spendgate"');
  expect(printed).toContain('"error":"quota_exceeded"');
  expect(printed).toContain('"reason":"exceeds_limit"');
  expect(printed).toContain('"stdout":"42\\n"');
  expect(printed).toContain('"status":"terminated"');
});

it("docs/guides/sandboxes.md leads from a start to code that prints 42 and to the end", {
  timeout: 60_000,
}, async () => {
  const user = await stack.signUp();
  await stack.createTenant({ members: [user], role: "owner" });
  const printed = await walk("docs/guides/sandboxes.md", `URL=${stack.url}\nJWT=${user.jwt}`);
  expect(printed).toContain('"stdout":"42\\n"');
  expect(printed).toContain('"status":"terminated"');
});

it.each(["docs/reference/http.md", "docs/guides/llm.md"])(
  "%s shows how a backend calls, and its call is answered",
  async (page) => {
    const user = await stack.signUp();
    const tenant = await stack.createTenant({ members: [user] });
    const printed = await walk(
      page,
      `URL=${stack.url}\nSECRET_KEY=${stack.keys.secret}\nTENANT=${tenant.id}\nUSER_ID=${user.id}`,
    );
    expect(JSON.parse(printed)).not.toHaveProperty("error");
  },
);
