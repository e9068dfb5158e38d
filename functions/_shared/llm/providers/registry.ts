// The providers: their SDKs, their keys, the names of their models. For metered_model.ts alone;
// a check in CI says so. An SDK is loaded by the first call of its provider.
import {
  APICallError,
  type EmbeddingModelV4,
  type LanguageModelV4,
  type LanguageModelV4CallOptions,
} from "@ai-sdk/provider";
import * as z from "zod";
import { notConfigured } from "../../runtime/env.ts";
import { environment } from "../../runtime/environment.ts";
import { fetchOnce } from "../../runtime/fetch_once.ts";
import { log, messageOf } from "../../runtime/log.ts";
import { once } from "../../runtime/once.ts";
import { describeProblem, PROVIDERS, readSettings } from "../../runtime/settings.ts";
import { type Product, unusableModel } from "../model_name.ts";
import { cacheControlInParts } from "./cache_control.ts";
import { lazyEmbeddingModel, lazyLanguageModel } from "./lazy_model.ts";
import { type OpenAIApi, openaiApi } from "./openai_api.ts";

/** A provider's models, each with the fetch that its calls go through. */
interface Provider {
  language(model: string, fetch: Fetch, api: OpenAIApi): LanguageModelV4;
  embedding?(model: string, fetch: Fetch): EmbeddingModelV4;
  post?: Post;
}

type Fetch = typeof fetch;

/**
 * Sends a request in OpenAI's format, as it is, to a path below the provider's base URL.
 * @throws APICallError of an answer that refuses.
 */
export type Post = (
  path: string,
  body: string | FormData,
  through: { fetch: Fetch; signal: AbortSignal },
) => Promise<Response>;

const OPENAI_URL = "https://api.openai.com/v1";

const BUILT_IN = ["openai", "anthropic", "google"];

/** The SDKs. Each call makes a client of its own; the runtime is asked for the module once. */
const sdks = {
  openai: once(() => import("@ai-sdk/openai")),
  anthropic: once(() => import("@ai-sdk/anthropic")),
  google: once(() => import("@ai-sdk/google")),
  compatible: once(() => import("@ai-sdk/openai-compatible")),
};

let loaded: Loaded | undefined;

/** The providers that can be called, and those that are set up wrongly. */
export interface Loaded {
  providers: Record<string, Provider>;
  /** What is wrong, by the provider, or by the variable where it is wrong as a whole. */
  problems: Record<string, string>;
}

/** All that are set up. One that is set up wrongly takes no other down: the log says what is wrong, once. */
export function loadProviders(values: Record<string, string | undefined> = environment()): Loaded {
  const result: Loaded = { providers: {}, problems: {} };
  for (const [name, own] of settingsByProvider(values)) {
    try {
      Object.assign(result.providers, readProviders(own));
    } catch (error) {
      result.problems[name] = messageOf(error);
      log("error", "provider_not_usable", { provider: name, message: messageOf(error) });
    }
  }
  return result;
}

/** The variables again, as if each provider were the only one. */
function settingsByProvider(
  values: Record<string, string | undefined>,
): [string, Record<string, string | undefined>][] {
  const others = Object.entries(values).filter(([name]) => !(name in PROVIDERS));
  const builtIn = BUILT_IN.map((provider): [string, Record<string, string | undefined>] => {
    const names = Object.keys(PROVIDERS).filter((name) => name.toLowerCase().startsWith(provider));
    return [provider, Object.fromEntries(names.map((name) => [name, values[name]]))];
  });
  const compatible = entriesOf(values.SPENDGATE_PROVIDERS).map(
    ([provider, settings]): [string, Record<string, string | undefined>] => [
      provider,
      { ...Object.fromEntries(others), SPENDGATE_PROVIDERS: settings },
    ],
  );
  return [...builtIn, ...compatible];
}

/** Each entry of `SPENDGATE_PROVIDERS` as a text of its own; the text as it is where it has no entries. */
function entriesOf(text: string | undefined): [string, string][] {
  if (!text) return [];
  try {
    const entries = Object.entries(JSON.parse(text));
    return entries.map(([name, settings]) => [name, JSON.stringify({ [name]: settings })]);
  } catch {
    return [["SPENDGATE_PROVIDERS", text]];
  }
}

/** @throws Error that names the variable which is wrong. */
export function readProviders(
  values: Record<string, string | undefined> = environment(),
): Record<string, Provider> {
  const { values: env, problems } = readSettings(PROVIDERS, values);
  if (problems.length > 0) throw new Error(problems.map(describeProblem).join(" "));
  const others = Object.entries(env.SPENDGATE_PROVIDERS).map(([name, { baseUrl, apiKeyEnv }]) => {
    if (BUILT_IN.includes(name)) {
      throw new Error(`SPENDGATE_PROVIDERS: ${name} is built in; set its *_BASE_URL instead.`);
    }
    const apiKey = apiKeyEnv && values[apiKeyEnv];
    if (apiKeyEnv && !apiKey) {
      throw new Error(`SPENDGATE_PROVIDERS: ${name} names ${apiKeyEnv}, which is not set.`);
    }
    return [name, compatible(name, baseUrl, apiKey)] as const;
  });
  return {
    ...(env.OPENAI_API_KEY && { openai: openai(env.OPENAI_API_KEY, env.OPENAI_BASE_URL) }),
    ...(env.ANTHROPIC_API_KEY && {
      anthropic: anthropic(env.ANTHROPIC_API_KEY, env.ANTHROPIC_BASE_URL),
    }),
    ...(env.GOOGLE_GENERATIVE_AI_API_KEY && {
      google: google(env.GOOGLE_GENERATIVE_AI_API_KEY, env.GOOGLE_GENERATIVE_AI_BASE_URL),
    }),
    ...Object.fromEntries(others),
  };
}

function openai(apiKey: string, baseURL: string | undefined): Provider {
  const provider = async (fetch: Fetch) =>
    (await sdks.openai()).createOpenAI({ apiKey, baseURL, fetch });
  return {
    language: (model, fetch, api) =>
      lazyLanguageModel("openai", model, async () => {
        const openai = await provider(fetch);
        return openaiApi(model, api) === "responses" ? openai.responses(model) : openai.chat(model);
      }),
    embedding: (model, fetch) =>
      lazyEmbeddingModel("openai", model, async () =>
        (await provider(fetch)).embeddingModel(model),
      ),
    post: postTo(baseURL ?? OPENAI_URL, apiKey),
  };
}

function postTo(baseURL: string, apiKey: string | undefined): Post {
  return async (path, body, through) => {
    const url = `${baseURL.replace(/\/+$/, "")}/${path}`;
    const headers = {
      ...(apiKey && { authorization: `Bearer ${apiKey}` }),
      ...(typeof body === "string" && { "content-type": "application/json" }),
    };
    const { fetch, signal } = through;
    const response = await fetch(url, { method: "POST", headers, body, signal });
    if (response.ok) return response;
    throw new APICallError({
      message: `The provider answered ${response.status}.`,
      url,
      // What was asked is in no error.
      requestBodyValues: {},
      statusCode: response.status,
      responseHeaders: Object.fromEntries(response.headers),
      responseBody: await response.text().catch(() => undefined),
    });
  };
}

function anthropic(apiKey: string, baseURL: string | undefined): Provider {
  return {
    language: (model, fetch) =>
      lazyLanguageModel("anthropic", model, async () => {
        const { createAnthropic } = await sdks.anthropic();
        return createAnthropic({ apiKey, baseURL, fetch })(model);
      }),
  };
}

function google(apiKey: string, baseURL: string | undefined): Provider {
  const provider = async (fetch: Fetch) =>
    (await sdks.google()).createGoogleGenerativeAI({ apiKey, baseURL, fetch });
  return {
    language: (model, fetch) =>
      lazyLanguageModel("google", model, async () => (await provider(fetch))(model)),
    embedding: (model, fetch) =>
      lazyEmbeddingModel("google", model, async () =>
        (await provider(fetch)).embeddingModel(model),
      ),
  };
}

function compatible(name: string, baseURL: string, apiKey: string | undefined): Provider {
  const provider = async (fetch: Fetch) => {
    const { createOpenAICompatible } = await sdks.compatible();
    return createOpenAICompatible({
      name,
      baseURL,
      apiKey,
      fetch,
      // Without it a stream of these ends without saying what it used.
      includeUsage: true,
      supportsStructuredOutputs: true,
      transformRequestBody: cacheControlInParts,
    });
  };
  return {
    language: (model, fetch) =>
      lazyLanguageModel(name, model, async () => (await provider(fetch)).chatModel(model)),
    embedding: (model, fetch) =>
      lazyEmbeddingModel(name, model, async () => (await provider(fetch)).embeddingModel(model)),
    post: postTo(baseURL, apiKey),
  };
}

/** Names of the providers that can be called. */
export function providerNames(): string[] {
  loaded ??= loadProviders();
  return Object.keys(loaded.providers);
}

/**
 * A model whose calls go through `fetch`; of OpenAI's two APIs, `api` where both serve it.
 * @throws SpendgateError invalid_request when the provider is not known or not set up.
 */
export function languageModel(
  { provider, model }: Product,
  fetch: Fetch = fetchOnce,
  api: OpenAIApi = "chat",
): LanguageModelV4 {
  return find(provider).language(model, fetch, api);
}

/** What Anthropic counts the tokens of. */
const COUNTED = [
  ...["model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"],
  ...["cache_control", "context_management"],
];

/**
 * Tokens of a call's input, as Anthropic counts them, for nothing. The AI SDK has no such call: it writes the request
 * for an answer, which is sent to be counted in the place of that.
 * @throws SpendgateError invalid_request when Anthropic is not set up; APICallError of what it answers.
 */
export async function countOfAnthropic(
  product: Product,
  options: LanguageModelV4CallOptions,
): Promise<number> {
  let counted = 0;
  const count: Fetch = async (input, init) => {
    const body = Object.entries(JSON.parse(String(init?.body)));
    const response = await fetchOnce(`${input}/count_tokens`, {
      ...init,
      body: JSON.stringify(Object.fromEntries(body.filter(([field]) => COUNTED.includes(field)))),
    });
    if (!response.ok) return response;
    counted = countAnswer.parse(await response.json()).input_tokens;
    const usage = { input_tokens: counted, output_tokens: 0 };
    return Response.json({ type: "message", content: [], stop_reason: "end_turn", usage });
  };
  await languageModel(product, count).doGenerate(options);
  return counted;
}

const countAnswer = z.object({ input_tokens: z.int().min(0) });

/**
 * An embedding model whose calls go through `fetch`.
 * @throws SpendgateError invalid_request when the provider is not known, not set up, or has no embeddings.
 */
export function embeddingModel(
  { provider, model }: Product,
  fetch: Fetch = fetchOnce,
): EmbeddingModelV4 {
  const found = find(provider).embedding?.(model, fetch);
  if (!found) throw unusableModel(`${provider} has no embeddings.`);
  return found;
}

/**
 * What sends requests in OpenAI's format to a provider.
 * @throws SpendgateError invalid_request when the provider is not known, not set up, or speaks another format.
 */
export function postOf(provider: string): Post {
  const { post } = find(provider);
  if (!post) throw unusableModel(`${provider} does not speak OpenAI's format.`);
  return post;
}

/** @throws SpendgateError not_configured for one that is set up wrongly. */
function find(provider: string): Provider {
  loaded ??= loadProviders();
  const { providers, problems } = loaded;
  if (Object.hasOwn(providers, provider)) return providers[provider] as Provider;
  // Where SPENDGATE_PROVIDERS cannot be read, any of the others may be in it.
  const listed = BUILT_IN.includes(provider) ? provider : "SPENDGATE_PROVIDERS";
  if ([provider, listed].some((name) => Object.hasOwn(problems, name))) {
    const message = `The provider ${provider} is set up wrongly here; the log says how.`;
    throw notConfigured(message);
  }
  const names = Object.keys(providers).join(", ") || "none";
  throw unusableModel(`The provider ${provider} is not set up here. There are: ${names}.`);
}
