// Usage in Gemini's format: thoughts are counted beside the candidates, and each kind of content in a list.
import {
  addReports,
  CountReader,
  type Json,
  listOf,
  objectOf,
  type Report,
  reportOf,
  tierOf,
} from "./report.ts";

/** Models for which searching costs by the prompt, not by the query (ai.google.dev/gemini-api/docs/pricing). */
const SEARCHES_BY_PROMPT = /gemini-(1|2|flash-1|pro-1|live-2)[.-]/;

/** Reads what one call's answer, or the chunks of its stream, say of its usage. */
export class GoogleUsage {
  /** Nothing was produced after the latest report. */
  isFresh = false;
  /** The provider said that the answer has ended. */
  hasEnded = false;
  /** Of requests that the answer went on from. */
  #before: Report | undefined;
  #latest: Report | undefined;
  #queries = new Set<string>();
  #isUnpriced = false;
  readonly #model: string;

  constructor(model: string) {
    this.#model = model;
  }

  /** The latest report; undefined while there is none. */
  get report(): Report | undefined {
    const report = addReports(this.#before, this.#latest);
    if (!report || this.#queries.size === 0) return report;
    const searches = SEARCHES_BY_PROMPT.test(this.#model) ? 1 : this.#queries.size;
    const counts = { ...report.counts, web_searches: searches };
    return { ...report, counts, isWhole: report.isWhole && !this.#isUnpriced };
  }

  /** A chunk of a stream, or a whole answer. */
  see(body: unknown): void {
    const chunk = objectOf(body);
    let goesOn = false;
    for (const candidate of listOf(chunk.candidates)) {
      if (listOf(objectOf(candidate.content).parts).length > 0) this.isFresh = false;
      this.#seeGrounding(objectOf(candidate.groundingMetadata));
      if (candidate.finishReason === "CONTINUATION") goesOn = true;
      else if (candidate.finishReason) this.hasEnded = true;
    }
    if (objectOf(chunk.promptFeedback).blockReason) this.hasEnded = true;
    this.#seeUsage(chunk.usageMetadata);
    if (Array.isArray(chunk.embeddings) || chunk.embedding) this.hasEnded = true;
    if (goesOn) {
      // The next request reports its own usage.
      this.#before = this.report;
      this.#latest = undefined;
    }
  }

  /** The usage of all requests of an answer, where it is known apart from them. */
  replaceUsage(usage: unknown): void {
    if (typeof usage !== "object" || usage === null) return;
    this.#before = undefined;
    this.#seeUsage(usage);
  }

  #seeUsage(usage: unknown): void {
    if (typeof usage !== "object" || usage === null) return;
    this.#latest = readUsage(usage as Json);
    this.isFresh = true;
  }

  #seeGrounding({ webSearchQueries, imageSearchQueries, groundingChunks }: Json): void {
    for (const queries of [webSearchQueries, imageSearchQueries]) {
      if (!Array.isArray(queries)) continue;
      for (const query of queries) if (query) this.#queries.add(String(query));
    }
    if (listOf(groundingChunks).some(({ maps }) => maps)) {
      this.#queries.add("maps");
      this.#isUnpriced = true;
    }
  }
}

function readUsage(usage: Json): Report {
  const reader = new CountReader();
  const [prompt, tools, candidates, thoughts, total, cached] = [
    reader.read(usage.promptTokenCount),
    reader.read(usage.toolUsePromptTokenCount),
    reader.read(usage.candidatesTokenCount),
    reader.read(usage.thoughtsTokenCount),
    reader.read(usage.totalTokenCount),
    reader.read(usage.cachedContentTokenCount),
  ];
  const kind = (name: string, ...details: unknown[]) =>
    details
      .flatMap(listOf)
      .filter(({ modality }) => modality === name)
      .reduce((sum, { tokenCount }) => sum + reader.read(tokenCount), 0);
  const sent = [usage.promptTokensDetails, usage.toolUsePromptTokensDetails];
  const input = prompt + tools;
  // Thoughts are within the candidates only where the total says so; what it has more was produced too.
  const isInside =
    thoughts > 0 &&
    thoughts <= candidates &&
    (total === input + candidates || total === prompt + candidates);
  const output = Math.max(candidates + (isInside ? 0 : thoughts), total - input);
  const report = reportOf(
    input,
    {
      // Cached audio costs more than cached text: it is counted as what it is.
      cache_read_tokens: Math.max(0, cached - kind("AUDIO", usage.cacheTokensDetails)),
      audio_input_tokens: kind("AUDIO", ...sent),
      image_input_tokens: Math.max(
        0,
        kind("IMAGE", ...sent) - kind("IMAGE", usage.cacheTokensDetails),
      ),
    },
    output,
    {
      reasoning_tokens: thoughts,
      audio_output_tokens: kind("AUDIO", usage.candidatesTokensDetails),
      image_output_tokens: kind("IMAGE", usage.candidatesTokensDetails),
    },
    {},
    true,
  );
  const isComplete = prompt > 0 && (usage.candidatesTokenCount !== undefined || total > 0);
  const tier = tierOf(usage.serviceTier, usage.trafficType);
  return {
    ...report,
    isWhole: report.isWhole && isComplete && reader.isSound,
    ...(tier && { tier }),
  };
}
