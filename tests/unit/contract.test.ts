// A database of another contract: what was begun is finished, and what it may hold is given back.
import { expect, it, vi } from "vitest";
import { Gate } from "../../functions/_shared/gate/gate.ts";
import type { Env } from "../../functions/_shared/runtime/env.ts";
import { startServer } from "../support/server.ts";

const HELD = "00000000-0000-4000-8000-000000000001";
const settled = { reservation_id: HELD, status: "settled", cost_usd: 1, is_estimated: false };

it("A reserve that answers in a shape of contract 2 is given back, no other is sent, and open calls are settled", async () => {
  // Node 20 has none, and the client demands one.
  vi.stubGlobal("WebSocket", class {});
  vi.spyOn(console, "error").mockImplementation(() => {});
  const asked: string[] = [];
  let isUpgraded = false;
  const database = await startServer((request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://localhost");
    const name = pathname.replace("/rest/v1/", "");
    if (name !== "rpc/contract_version") asked.push(name);
    const answers: Record<string, unknown> = {
      "rpc/contract_version": isUpgraded ? 2 : 1,
      "rpc/reserve": { is_admitted: true },
      "rpc/settle": settled,
      "rpc/release": { ...settled, status: "released", cost_usd: 0 },
      reservations: [{ id: HELD }],
    };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(answers[name]));
  });
  try {
    const gate = new Gate({
      supabaseUrl: database.url,
      secretKey: "key",
      gateTimeoutMs: 5000,
    } as Env);
    await gate.expectContract();
    isUpgraded = true;
    const reserve = () =>
      gate.reserve({
        tenantId: HELD,
        userId: HELD,
        resourceType: "llm",
        usage: {},
        task: "chat",
        enforce: true,
      });
    await expect(reserve()).rejects.toMatchObject({ code: "not_configured" });
    await expect(reserve()).rejects.toMatchObject({ code: "not_configured" });
    expect(asked).toEqual(["rpc/reserve"]);
    expect(await gate.settle(HELD, {})).toMatchObject({ status: "settled" });
    await vi.waitFor(() => expect(asked).toContain("rpc/release"), { timeout: 5000 });
    expect(asked).toEqual(["rpc/reserve", "rpc/settle", "reservations", "rpc/release"]);
  } finally {
    await database.stop();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  }
});
