// What is done while a hold is asked for: everything but the sending.

import type { LanguageModelV4, LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { UnsupportedFunctionalityError } from "@ai-sdk/provider";
import { describe, expect, it } from "vitest";
import { SpendgateError } from "../../functions/_shared/errors.ts";
import type { Reservation } from "../../functions/_shared/gate/gate.ts";
import type { Metering } from "../../functions/_shared/gate/metering.ts";
import { meter } from "../../functions/_shared/llm/meter.ts";
import type { ProviderRequest } from "../../functions/_shared/llm/providers/request.ts";
import { deferred } from "../../functions/_shared/runtime/deferred.ts";
import { meteredMiddleware } from "../../packages/spendgate/src/ai.ts";
import { remember } from "../../packages/spendgate/src/internals.ts";
import type { Spender } from "../../packages/spendgate/src/types.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const PRODUCT = { provider: "openai", model: "gpt-4o-mini" };
const HELD: Reservation = { id: "00000000-0000-4000-8000-000000000001", warnings: [] };
const REFUSED = new SpendgateError("quota_exceeded", "The quota is full.", {
  details: { reason: "limit_reached" },
});
const CALL = { prompt: [], maxOutputTokens: 10 } as LanguageModelV4CallOptions;

/** A gate whose answer a test gives, and what it is told of the call's end. */
function gateOf() {
  const answer = deferred<Reservation>();
  const ends: string[] = [];
  const end = (name: string) => async (_: string, what: unknown) => {
    ends.push(typeof what === "string" ? `${name} ${what}` : name);
    return undefined;
  };
  const metering = {
    gate: { reserve: () => answer.promise, settle: end("settled"), release: end("released") },
    env: { maxRetries: 0, callTimeoutMs: 5000, costWaitMs: 100, defaultMaxOutputTokens: 10 },
    ...{ tenantId: "t", userId: null, task: "chat" },
  } as unknown as Metering;
  return { answer, ends, metering };
}

/** A model that does `work` for a call. */
function modelOf(work: () => Promise<unknown>): LanguageModelV4 {
  const call = async () => {
    await work();
    throw new Error("That was all.");
  };
  return {
    specificationVersion: "v4",
    ...{ provider: "openai", modelId: PRODUCT.model, supportedUrls: {} },
    ...{ doGenerate: call, doStream: call },
  };
}

const WAYS = ["wrapGenerate", "wrapStream"] as const;

/** Calls a model whose request goes through ours. */
function call(
  way: (typeof WAYS)[number],
  metering: Metering,
  work: (r: ProviderRequest) => unknown,
) {
  const middleware = meter(
    [
      {
        product: PRODUCT,
        bind: (params) => ({ ...params, maxOutputTokens: 10 }),
        model: (request) => modelOf(async () => work(request)),
      },
    ],
    metering,
  );
  return outcome(middleware[way]?.({ params: CALL } as never));
}

/** What a call ends by, told apart from one that goes on. */
function outcome(result: PromiseLike<unknown> | undefined): Promise<unknown> {
  return Promise.resolve(result).then(
    () => "answered",
    (error) => error,
  );
}

describe.each(WAYS)("A call of a provider (%s)", (way) => {
  it("is made ready while its hold is asked for, and sent once it is there", async () => {
    const seen: string[] = [];
    const server = await startServer((_, response) => {
      seen.push("sent");
      response.writeHead(500).end();
    });
    try {
      const { answer, metering } = gateOf();
      const ended = call(way, metering, ({ fetch }) => {
        seen.push("ready");
        return fetch(server.url, { method: "POST", body: "{}" });
      });
      await until("the call is ready", () => seen.length > 0);
      expect(seen).toEqual(["ready"]);
      seen.push("held");
      answer.resolve(HELD);
      await ended;
      expect(seen).toEqual(["ready", "held", "sent"]);
    } finally {
      await server.stop();
    }
  });

  it("is not sent where the gate refuses: the caller gets the refusal, and nothing ends", async () => {
    const { answer, ends, metering } = gateOf();
    let isSent: boolean | undefined;
    const ended = call(way, metering, async (request) => {
      try {
        await request.fetch("http://127.0.0.1:1/", { method: "POST", body: "{}" });
      } finally {
        isSent = request.isSent;
      }
    });
    answer.resolve(Promise.reject(REFUSED) as never);
    expect(await ended).toBe(REFUSED);
    expect(isSent).toBe(false);
    expect(ends).toEqual([]);
  });

  it("that cannot be written gives its hold back, also where that comes later", async () => {
    const { answer, ends, metering } = gateOf();
    let isOver = false;
    const ended = call(way, metering, () => {
      isOver = true;
      throw new UnsupportedFunctionalityError({ functionality: "files" });
    });
    await until("the call has failed", () => isOver);
    answer.resolve(HELD);
    expect(await ended).toMatchObject({ code: "invalid_request" });
    await until("it has ended", () => ends.length > 0);
    expect(ends).toEqual(["released not_sent"]);
  });
});

describe.each(WAYS)("A model of somebody else's fetch (%s)", (way) => {
  const start = (metering: Metering, work: () => Promise<unknown>) => {
    const spender = {} as Spender;
    remember(spender, metering);
    const middleware = meteredMiddleware(spender);
    return outcome(middleware[way]?.({ params: CALL, model: modelOf(work) } as never));
  };

  it("is called once its hold is there", async () => {
    const { answer, metering } = gateOf();
    const seen: string[] = [];
    const ended = start(metering, async () => seen.push("called"));
    await new Promise((passed) => setTimeout(passed, 20));
    seen.push("held");
    answer.resolve(HELD);
    await ended;
    expect(seen).toEqual(["held", "called"]);
  });

  it("is never called where the gate refuses", async () => {
    const { answer, metering } = gateOf();
    const seen: string[] = [];
    const ended = start(metering, async () => seen.push("called"));
    answer.resolve(Promise.reject(REFUSED) as never);
    expect(await ended).toBe(REFUSED);
    expect(seen).toEqual([]);
  });
});
