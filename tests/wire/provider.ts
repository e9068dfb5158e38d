// Providers as raw bytes: a test says, by the marker in its prompt, what each of them sends, when, and how it ends.
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { readBody, startServer } from "../support/server.ts";

/** Bytes to send, or milliseconds to wait before the next. */
export type Piece = string | Uint8Array | { waitMs: number };

export interface RawAnswer {
  /** 200 when left out. */
  status?: number;
  headers?: Record<string, string>;
  pieces?: Piece[];
  /** `cut`: the connection breaks; `hang`: nothing more comes. `end` when left out. */
  ending?: "end" | "cut" | "hang";
}

export interface RawRequest {
  provider: string;
  path: string;
  /** As it was sent. */
  text: string;
  /** The gate has hung up before the end of the answer. */
  aborted: boolean;
}

export interface RawProvider {
  /** Environment of the functions in which every provider is this one. */
  env: Record<string, string>;
  /** How requests with this marker are answered, in turn; the last answer goes on for all that follow. */
  answer(marker: string, ...answers: RawAnswer[]): void;
  /** Requests with this marker, in order. */
  requests(marker: string): RawRequest[];
  stop(): Promise<void>;
}

/** What a prompt contains, so that its request is known: `case-` and letters, digits and hyphens. */
const MARKER = /case-[0-9a-z-]+/;

/** Providers that speak OpenAI's Chat Completions and are set up by configuration. */
export const COMPATIBLE = [
  "cerebras",
  "deepseek",
  "fireworks",
  "groq",
  "minimax",
  "mistral",
  "moonshotai",
  "novita",
  "openrouter",
  "perplexity",
  "together",
  "x-ai",
  "zai",
] as const;

export async function startRawProvider(): Promise<RawProvider> {
  const scripts = new Map<string, RawAnswer[]>();
  const journal = new Map<string, RawRequest[]>();
  const { url, stop } = await startServer(async (incoming, response) => {
    const text = await readBody(incoming);
    const [, provider = "", ...path] = (incoming.url ?? "").split("/");
    const marker = MARKER.exec(text)?.[0] ?? "";
    const request: RawRequest = { provider, path: path.join("/"), text, aborted: false };
    response.on("close", () => {
      request.aborted = !response.writableEnded;
    });
    journal.set(marker, [...(journal.get(marker) ?? []), request]);
    const answers = scripts.get(marker) ?? [];
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    await play(answer ?? { status: 500, pieces: [`no answer for ${marker}`] }, response);
  });
  return {
    env: environment(url),
    answer: (marker, ...answers) => void scripts.set(marker, answers),
    requests: (marker) => journal.get(marker) ?? [],
    stop,
  };
}

/** Keys that a log must never show. */
export const PROVIDER_KEY = "sk-live-canary-key";

function environment(url: string): Record<string, string> {
  const compatible = COMPATIBLE.map((name) => [
    name,
    { baseUrl: `${url}/${name}/v1`, apiKeyEnv: "WIRE_API_KEY" },
  ]);
  return {
    OPENAI_API_KEY: PROVIDER_KEY,
    OPENAI_BASE_URL: `${url}/openai/v1`,
    ANTHROPIC_API_KEY: PROVIDER_KEY,
    ANTHROPIC_BASE_URL: `${url}/anthropic/v1`,
    GOOGLE_GENERATIVE_AI_API_KEY: PROVIDER_KEY,
    GOOGLE_GENERATIVE_AI_BASE_URL: `${url}/google/v1beta`,
    WIRE_API_KEY: PROVIDER_KEY,
    SPENDGATE_PROVIDERS: JSON.stringify(Object.fromEntries(compatible)),
  };
}

async function play(
  { status = 200, headers, pieces = [], ending = "end" }: RawAnswer,
  response: ServerResponse,
): Promise<void> {
  response.writeHead(status, headers);
  response.flushHeaders();
  for (const piece of pieces) {
    if (response.destroyed) return;
    if (typeof piece === "string" || piece instanceof Uint8Array) response.write(piece);
    else await sleep(piece.waitMs);
  }
  if (ending === "end") response.end();
  // What was written must leave before the connection breaks.
  else if (ending === "cut") response.write("", () => setTimeout(() => response.destroy(), 20));
}

/** An answer in one piece. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): RawAnswer {
  return {
    status,
    headers: { "content-type": "application/json", ...headers },
    pieces: [JSON.stringify(body)],
  };
}

/** Server-sent events, one piece each. */
export function events(pieces: Piece[], ending: RawAnswer["ending"] = "end"): RawAnswer {
  return { headers: { "content-type": "text/event-stream; charset=utf-8" }, pieces, ending };
}

/** An event without a name. */
export function data(chunk: unknown): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}
