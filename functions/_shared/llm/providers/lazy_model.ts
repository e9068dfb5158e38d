// Models whose SDK is loaded when they are first used: a worker that starts waits for none that it does not call.
import type { EmbeddingModelV4, LanguageModelV4 } from "@ai-sdk/provider";
import { once } from "../../runtime/once.ts";

export function lazyLanguageModel(
  provider: string,
  modelId: string,
  load: () => Promise<LanguageModelV4>,
): LanguageModelV4 {
  const model = once(load);
  return {
    specificationVersion: "v4",
    provider,
    modelId,
    get supportedUrls() {
      return model().then(({ supportedUrls }) => supportedUrls);
    },
    doGenerate: async (options) => (await model()).doGenerate(options),
    doStream: async (options) => (await model()).doStream(options),
  };
}

export function lazyEmbeddingModel(
  provider: string,
  modelId: string,
  load: () => Promise<EmbeddingModelV4>,
): EmbeddingModelV4 {
  const model = once(load);
  return {
    specificationVersion: "v4",
    provider,
    modelId,
    get maxEmbeddingsPerCall() {
      return model().then(({ maxEmbeddingsPerCall }) => maxEmbeddingsPerCall);
    },
    get supportsParallelCalls() {
      return model().then(({ supportsParallelCalls }) => supportsParallelCalls);
    },
    doEmbed: async (options) => (await model()).doEmbed(options),
  };
}
