import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { startTestStack, type TestStack, type TestTenant, type TestUser } from "../setup/stack.ts";

let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  stack = await startTestStack();
});
afterAll(() => stack.stop());
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  stack.sandboxes.reset();
});

const open = (conversationId: string, more: object = {}, as = user) =>
  stack.call("/sandbox", { user: as, json: { conversationId, ...more } });
const run = (id: string, code: string, more: object = {}, as = user) =>
  stack.call(`/sandbox/${id}/run`, { user: as, json: { code, language: "javascript", ...more } });
const end = (id: string, as = user) => stack.call(`/sandbox/${id}`, { user: as, method: "DELETE" });

it("gets or creates, runs, streams, ends", async () => {
  const opened = await open("talk");
  expect(opened.status).toBe(201);
  const { id, ...rest } = (await opened.json()) as { id: string };
  expect(rest).toMatchObject({ conversationId: "talk", status: "running", isNew: true });
  const again = await open("talk");
  expect(again.status).toBe(200);
  expect(await again.json()).toMatchObject({ id, isNew: false });

  const ran = await run(id, "console.log('hi'); console.error('oh'); 40 + 2");
  expect(await ran.json()).toMatchObject({
    stdout: "hi\n",
    stderr: "oh\n",
    results: [{ text: "42" }],
    error: null,
    isTruncated: false,
  });
  const streamed = await run(id, "console.log('hi'); 40 + 2", { stream: true });
  expect(streamed.headers.get("content-type")).toBe("text/event-stream");
  expect((await streamed.text()).match(/^event: .*$/gm)).toEqual([
    "event: stdout",
    "event: result",
    "event: done",
  ]);

  expect(await (await end(id)).json()).toEqual({ id, status: "terminated" });
  expect((await end(id)).status).toBe(200);
  const events = await stack.sql`
    select cost_usd from spend.cost_events where tenant_id = ${tenant.id}`;
  expect(events).toHaveLength(1);
});
