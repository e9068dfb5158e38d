// Sandboxes over HTTP: get or create the one of a conversation's path, run code in it, end it.
import { z } from "zod";
import { authenticate } from "../_shared/auth.ts";
import { writtenStream } from "../_shared/background.ts";
import type { Env } from "../_shared/env.ts";
import { errorResponse, SpendgateError, toSpendgateError } from "../_shared/errors.ts";
import type { Gate } from "../_shared/gate.ts";
import { clientGone, expectMethod, readJson } from "../_shared/http.ts";
import {
  type CodeRun,
  execute,
  type LiveSandbox,
  openSandbox,
  type SandboxCaller,
  terminateSandbox,
  useSandbox,
} from "../_shared/metered_sandbox.ts";
import { meteringFor } from "../_shared/metering.ts";
import { flushTelemetry } from "../_shared/telemetry.ts";
import { openRequest, type RunRequest, runRequest } from "./request.ts";

export async function handleSandbox(request: Request, env: Env, gate: Gate): Promise<Response> {
  try {
    return await route(request, env, gate);
  } finally {
    flushTelemetry();
  }
}

async function route(request: Request, env: Env, gate: Gate): Promise<Response> {
  const userId = await authenticate(request, env);
  const [, id, action] =
    /\/sandbox(?:\/([^/]+)(?:\/([^/]+))?)?\/?$/.exec(new URL(request.url).pathname) ?? [];
  if (id === undefined) {
    expectMethod(request, "POST");
    return open(request, userId, env, gate);
  }
  if (!z.uuid().safeParse(id).success || (action !== undefined && action !== "run")) {
    throw new SpendgateError("not_found", "There is no such sandbox.");
  }
  if (action === "run") {
    expectMethod(request, "POST");
    return run(request, { gate, env, userId }, id);
  }
  expectMethod(request, "DELETE");
  await terminateSandbox({ gate, env, userId }, id);
  return Response.json({ id, status: "terminated" });
}

async function open(request: Request, userId: string, env: Env, gate: Gate): Promise<Response> {
  const body = await readJson(request, openRequest(env), env.maxBodyBytes);
  const metering = await meteringFor(userId, request, env, gate, {
    tenantId: body.tenantId,
    task: body.task,
    conversationId: body.conversationId,
    pathId: body.pathId,
  });
  const live = await openSandbox(metering, body);
  return Response.json(describe(live), { status: live.isNew ? 201 : 200 });
}

function describe(live: LiveSandbox) {
  return {
    id: live.contextId,
    sandboxId: live.sandboxId,
    conversationId: live.conversationId,
    pathId: live.pathId,
    template: live.template,
    status: "running",
    isNew: live.isNew,
    startedAt: live.startedAt,
    expiresAt: live.expiresAt,
  };
}

async function run(request: Request, caller: SandboxCaller, id: string): Promise<Response> {
  const { env } = caller;
  const body = await readJson(request, runRequest(env), env.maxBodyBytes);
  const bytes = new TextEncoder().encode(body.code).length;
  if (bytes > env.maxCodeBytes) {
    throw new SpendgateError(
      "request_too_large",
      `The code is larger than ${env.maxCodeBytes} bytes.`,
      { details: { maxBytes: env.maxCodeBytes } },
    );
  }
  const gone = clientGone(request);
  const listening = { ...caller, gone: gone.signal };
  const code = toRun(body, env);
  if (body.stream) return streamRun(listening, id, code, gone);
  const live = await useSandbox(listening, id, code);
  return Response.json(await execute(listening, live, code));
}

/** What an event adds to the piece of output in it, at most. */
const PIECE_BYTES = 40;

function toRun(body: RunRequest, env: Env): CodeRun {
  return {
    code: body.code,
    language: body.language,
    seconds: body.timeoutSeconds,
    maxBytes: env.maxOutputBytes,
    ...(body.stream && { pieceBytes: PIECE_BYTES }),
  };
}

/** Events `stdout`, `stderr` and `result` as they come; then `done` with what else there is to say, or `error`. */
async function streamRun(
  caller: SandboxCaller,
  id: string,
  code: CodeRun,
  gone: AbortController,
): Promise<Response> {
  let live: LiveSandbox;
  // Until the code runs the status is open: a refusal is a 429, not an error in a stream of status 200.
  try {
    live = await useSandbox(caller, id, code);
  } catch (thrown) {
    const error = toSpendgateError(thrown);
    if (error.code === "quota_exceeded") return errorResponse(error, "sse");
    throw error;
  }
  const encoder = new TextEncoder();
  const events = writtenStream<Uint8Array>(gone, async (write) => {
    const send = (event: string, data: unknown) =>
      write(encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
    try {
      const result = await execute(caller, live, code, ({ type, ...data }) => send(type, data));
      const { stdout: _, stderr: __, results: ___, ...rest } = result;
      send("done", { status: "ok", ...rest });
    } catch (thrown) {
      const error = toSpendgateError(thrown);
      // What was printed is out already.
      send("error", { ...error.toJSON(), output: undefined });
      send("done", { status: error.code });
    }
    flushTelemetry();
  });
  return new Response(events, {
    headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" },
  });
}
