// A provider without manners, in OpenAI's wire format: what the stand-in does not do, a test scripts here.
import type { IncomingMessage, ServerResponse } from "node:http";
import { readBody, startServer } from "./server.ts";

export interface ProviderRequest {
  body: {
    model: string;
    stream?: boolean;
    max_tokens?: number;
    service_tier?: string;
    messages: { role: string; content: unknown }[];
  };
  headers: IncomingMessage["headers"];
  /** The client, which is the gate, has hung up. */
  aborted: boolean;
}
export type Script = (response: ServerResponse, request: ProviderRequest) => void | Promise<void>;

export interface ScriptedProvider {
  /** Environment that sends calls of openai/… here. */
  env: Record<string, string>;
  /** Environment that sends calls of Anthropic and Google here, too. */
  othersEnv: Record<string, string>;
  /** Every request that came, in order. */
  journal: ProviderRequest[];
  /** How the next requests are answered: the last script goes on for all that follow. */
  plays(...scripts: Script[]): void;
  stop(): Promise<void>;
}

export async function startScriptedProvider(): Promise<ScriptedProvider> {
  const journal: ProviderRequest[] = [];
  let scripts: Script[] = [];
  const { url, stop } = await startServer(async (incoming, response) => {
    const { headers } = incoming;
    const request: ProviderRequest = {
      body: JSON.parse(await readBody(incoming)),
      headers,
      aborted: false,
    };
    response.on("close", () => {
      request.aborted = !response.writableEnded;
    });
    journal.push(request);
    const script = scripts.length > 1 ? scripts.shift() : scripts[0];
    await script?.(response, request);
  });
  return {
    env: { OPENAI_API_KEY: "local", OPENAI_BASE_URL: `${url}/v1` },
    othersEnv: {
      ANTHROPIC_API_KEY: "local",
      ANTHROPIC_BASE_URL: `${url}/v1`,
      GOOGLE_GENERATIVE_AI_API_KEY: "local",
      GOOGLE_GENERATIVE_AI_BASE_URL: `${url}/v1`,
    },
    journal,
    plays(...next) {
      scripts = next;
    },
    stop,
  };
}

export interface ProviderUsage {
  prompt_tokens: number;
  completion_tokens: number;
}

/** What the stand-ins of the tests report, unless a test says otherwise. */
export const USAGE: ProviderUsage = { prompt_tokens: 1000, completion_tokens: 500 };
/** What that costs on gpt-4o-mini: 1,000 × $0.15 + 500 × $0.60 per million. */
export const USAGE_USD = 0.00045;

const frame = { id: "1", created: 1, model: "gpt-4o-mini" };

/** One chunk of a stream. */
export function sse(chunk: object): string {
  return `data: ${JSON.stringify({ ...frame, object: "chat.completion.chunk", ...chunk })}\n\n`;
}

export function textChunk(content: string): string {
  return sse({ choices: [{ index: 0, delta: { content } }] });
}

export function beginStream(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
}

/** Ends a stream as OpenAI does; without usage when none is given. */
export function endStream(response: ServerResponse, usage?: ProviderUsage, reason = "stop"): void {
  response.write(sse({ choices: [{ index: 0, delta: {}, finish_reason: reason }] }));
  if (usage) response.write(sse({ choices: [], usage }));
  response.end("data: [DONE]\n\n");
}

/** Answers a text, streamed or not as it was asked. */
export function answers(content: string, usage?: ProviderUsage): Script {
  return (response, { body }) => {
    if (body.stream) {
      beginStream(response);
      for (const word of content.split(/(?<= )/)) response.write(textChunk(word));
      endStream(response, usage);
      return;
    }
    const message = { role: "assistant", content };
    sendJson(response, 200, { message, finish_reason: "stop" }, usage);
  };
}

/** Calls a tool, streamed or not as it was asked. */
export function callsTool(id: string, name: string, usage: ProviderUsage, input = {}): Script {
  return (response, { body }) => {
    const call = { id, type: "function", function: { name, arguments: JSON.stringify(input) } };
    if (body.stream) {
      beginStream(response);
      response.write(
        sse({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...call }] } }] }),
      );
      endStream(response, usage, "tool_calls");
      return;
    }
    const message = { role: "assistant", content: null, tool_calls: [call] };
    sendJson(response, 200, { message, finish_reason: "tool_calls" }, usage);
  };
}

/** Refuses with a status of its own. */
export function refuses(status: number, headers: Record<string, string> = {}): Script {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end('{"error":{"message":"a secret of the provider","type":"server_error"}}');
  };
}

function sendJson(
  response: ServerResponse,
  status: number,
  choice: object,
  usage?: ProviderUsage,
): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(
    JSON.stringify({
      ...frame,
      object: "chat.completion",
      choices: [{ index: 0, ...choice }],
      ...(usage && {
        usage: { ...usage, total_tokens: usage.prompt_tokens + usage.completion_tokens },
      }),
    }),
  );
}
