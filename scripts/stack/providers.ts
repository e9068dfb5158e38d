// The stand-in for the providers: a real HTTP server that speaks their protocols.
import { generateDeterministicEmbedding, LLMock, type Mountable } from "@copilotkit/aimock";
import { assertPortFree, freePort } from "./ports.ts";

/** The providers, the prefix of their environment variables, the path that their SDK expects. */
export const PROVIDERS = [
  { name: "OpenAI", prefix: "OPENAI", path: "/v1" },
  { name: "Anthropic", prefix: "ANTHROPIC", path: "/v1" },
  { name: "Google", prefix: "GOOGLE_GENERATIVE_AI", path: "/v1beta" },
] as const;

export interface Providers {
  url: string;
  /** The stand-in itself: its fixtures, its faults, and its journal of every request it got. */
  mock: LLMock;
  stop(): Promise<void>;
}

/** Answers every chat; fixtures that a test puts before win. A free port when none is given. */
export async function startProviders(port?: number): Promise<Providers> {
  if (port !== undefined) await assertPortFree(port, "stand-in for the providers");
  const mock = new LLMock({
    host: "127.0.0.1",
    port: port ?? (await freePort()),
    // Tests count the calls; the default keeps a thousand.
    journalMaxEntries: 10_000,
  });
  mock.mount("/v1beta/models", geminiBatches);
  mock.mount("/v1/messages/count_tokens", anthropicCounts);
  mock.mount("/v1/audio/speech", openaiSpeech);
  mock.mount("/v1/audio/transcriptions", openaiTranscription);
  mock.mount("/v1/images/generations", openaiImages);
  mock.addFixture({
    // Without a fixture an embedding is made of its text, as long as it was asked for.
    match: { predicate: (request) => request.embeddingInput === undefined },
    response: (request) => answerTo(request as unknown as ChatRequest),
  });
  await mock.start();
  return { url: mock.url, mock, stop: () => mock.stop() };
}

/** Several embeddings in one call of Gemini, which the stand-in knows singly. */
const geminiBatches: Mountable = {
  async handleRequest(incoming, response, pathname) {
    if (!pathname.endsWith(":batchEmbedContents")) return false;
    let body = "";
    for await (const chunk of incoming) body += chunk;
    const { requests } = JSON.parse(body) as { requests: GeminiEmbedding[] };
    const embeddings = requests.map(({ content, outputDimensionality }) => ({
      values: generateDeterministicEmbedding(textOf(content?.parts), outputDimensionality),
    }));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ embeddings }));
    return true;
  },
};

/** Anthropic's counting of a prompt's tokens, which the stand-in does not know. */
const anthropicCounts: Mountable = {
  async handleRequest(incoming, response) {
    let body = "";
    for await (const chunk of incoming) body += chunk;
    const { messages = [] } = JSON.parse(body) as ChatRequest;
    const text = messages.map(({ content }) => textOf(content)).join("\n");
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ input_tokens: tokens(text) }));
    return true;
  },
};

/** A second of silence for whatever is to be spoken: as OpenAI's events, or as the audio alone. */
const openaiSpeech: Mountable = {
  async handleRequest(incoming, response) {
    let body = "";
    for await (const chunk of incoming) body += chunk;
    const { input, stream_format: format } = JSON.parse(body) as Record<string, string>;
    if (format !== "sse") {
      response.setHeader("content-type", "audio/mpeg");
      response.end(SILENCE);
      return true;
    }
    const [input_tokens, output_tokens] = [tokens(input ?? ""), 21];
    const usage = { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens };
    response.setHeader("content-type", "text/event-stream");
    for (const event of [
      { type: "speech.audio.delta", audio: SILENCE.toString("base64") },
      { type: "speech.audio.done", usage },
    ]) {
      response.write(`data: ${JSON.stringify(event)}\n\n`);
    }
    response.end();
    return true;
  },
};

/** Two seconds that were heard, in whatever is sent: by tokens, or of a model that counts seconds. */
const openaiTranscription: Mountable = {
  async handleRequest(incoming, response) {
    let body = "";
    for await (const chunk of incoming) body += chunk;
    const text = "This is the local stand-in for the provider: it hears nothing.";
    const usage = /name="model"\s+gpt-4o-/.test(body)
      ? { type: "tokens", input_tokens: 20, output_tokens: tokens(text), total_tokens: 36 }
      : { type: "duration", seconds: 2 };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ text, usage }));
    return true;
  },
};

/** A grey pixel for each image. */
const openaiImages: Mountable = {
  async handleRequest(incoming, response) {
    let body = "";
    for await (const chunk of incoming) body += chunk;
    const { prompt, n } = JSON.parse(body) as { prompt: string; n?: number };
    const images = n ?? 1;
    const [input_tokens, output_tokens] = [images * tokens(prompt), images * 272];
    const usage = { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens };
    const data = Array.from({ length: images }, () => ({ b64_json: PIXEL }));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ created: Math.floor(Date.now() / 1000), data, usage }));
    return true;
  },
};

/** PNG. */
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg==";

/** MP3 at 8 kbit/s and 16 kHz: 28 frames of 36 ms, each a header and nothing else. */
const SILENCE = Buffer.concat(
  Array<Buffer>(28).fill(Buffer.concat([Buffer.from([0xff, 0xf3, 0x18, 0xc4]), Buffer.alloc(32)])),
);

interface GeminiEmbedding {
  content?: { parts?: { text?: string }[] };
  outputDimensionality?: number;
}

interface ChatRequest {
  messages?: { role: string; content?: unknown }[];
}

/** A text with the usage that is billed for it: a token for every four characters, both ways. */
function answerTo(request: ChatRequest) {
  const messages = (request.messages ?? []).map(({ content }) => textOf(content));
  const question = messages.at(-1) ?? "";
  const content =
    `You asked: “${question.length > 80 ? `${question.slice(0, 80)}…` : question}”. ` +
    "This is the local stand-in for the provider: it spends no real money, and reports usage " +
    "as the real one does, so that the gate has something exact to book. " +
    "Set the provider's API key and start again to talk to the real model.";
  const input = tokens(messages.join("\n"));
  const output = tokens(content);
  return {
    content,
    usage: {
      prompt_tokens: input,
      completion_tokens: output,
      total_tokens: input + output,
      input_tokens: input,
      output_tokens: output,
      promptTokenCount: input,
      candidatesTokenCount: output,
      totalTokenCount: input + output,
    },
  };
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part: { text?: string }) => part.text ?? "").join("");
}

function tokens(text: string): number {
  return Math.max(1, Math.ceil(text.length / 4));
}
