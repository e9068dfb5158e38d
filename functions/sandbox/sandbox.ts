// Sandboxes over HTTP: get or create the one of a conversation's path, run code in it, end it.
import * as z from "zod";
import { SpendgateError, toSpendgateError } from "../_shared/errors.ts";
import type { Caller } from "../_shared/gate/metering.ts";
import { endpoint, readJson } from "../_shared/http/body.ts";
import { clientGone } from "../_shared/http/client_gone.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import { writtenStream } from "../_shared/runtime/background.ts";
import type { Env } from "../_shared/runtime/env.ts";
import {
  type CodeRun,
  execute,
  type LiveSandbox,
  openSandbox,
  terminateSandbox,
  useSandbox,
} from "../_shared/sandbox/metered_sandbox.ts";
import { openRequest, type RunRequest, runRequest } from "./request.ts";

/** POST /sandbox. */
export const openSandboxOf = endpoint<UserContext, ReturnType<typeof openRequest>>(
  openRequest,
  async ({ metering }, body) => {
    const attribution = {
      tenantId: body.tenantId,
      task: body.task,
      conversationId: body.conversationId,
      pathId: body.pathId,
    };
    const live = await openSandbox(await metering(attribution), body);
    return Response.json(describe(live), { status: live.isNew ? 201 : 200 });
  },
);

/** DELETE /sandbox/:id. */
export async function endSandbox(context: UserContext): Promise<Response> {
  const id = idIn(context.params);
  await terminateSandbox(context, id);
  return Response.json({ id, status: "terminated" });
}

/** POST /sandbox/:id/run. */
export async function runCode(context: UserContext): Promise<Response> {
  const { env, request } = context;
  // An id that is none is told before a body that is none.
  const id = idIn(context.params);
  const body = await readJson(request, runRequest(env), env.maxBodyBytes);
  return run(request, context, id, body);
}

/** @throws SpendgateError not_found: what is no id is no sandbox's. */
function idIn({ id }: Record<string, string>): string {
  const { success, data } = z.guid().safeParse(id);
  if (!success) throw new SpendgateError("not_found", "There is no such sandbox.");
  return data;
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

async function run(
  request: Request,
  caller: Caller,
  id: string,
  body: RunRequest,
): Promise<Response> {
  const { env } = caller;
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
  caller: Caller,
  id: string,
  code: CodeRun,
  gone: AbortController,
): Promise<Response> {
  // Until the code runs the status is open: a refusal is a 429, not an error in a stream of status 200.
  const live = await useSandbox(caller, id, code);
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
  });
  return new Response(events, {
    headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" },
  });
}
