// Usage in OpenAI's formats, chat completions, responses and embeddings, and of those who speak them in their own way.
import {
  CountReader,
  type Json,
  listOf,
  objectOf,
  type Report,
  reportOf,
  tierOf,
} from "./report.ts";

/** Items of an answer that cost a fee for which there is no meter. */
const UNPRICED_ITEMS = new Set([
  "code_interpreter_call",
  "file_search_call",
  "image_generation_call",
]);
/** Looking at a page that was found is no further search. */
const NO_SEARCH = new Set(["open_page", "find_in_page", "find"]);

/** Reads what one call's answer, or the chunks of its stream, say of its usage. */
export class OpenAIUsage {
  /** The latest report; undefined while there is none. */
  report: Report | undefined;
  /** Nothing was produced after the latest report. */
  isFresh = false;
  /** The provider said that the answer has ended. */
  hasEnded = false;
  #tier: string | undefined;
  #usage: unknown;
  #searches = new Set<string>();
  #isUnpriced = false;
  #isAnnotated = false;
  #isEmbedding = false;
  readonly #provider: string;
  readonly #model: string;

  constructor(provider: string, model: string) {
    this.#provider = provider;
    this.#model = model;
  }

  /** A chunk or event of a stream, or a whole answer. */
  see(body: unknown): void {
    const chunk = objectOf(body);
    const answer = chunk.response === undefined ? chunk : objectOf(chunk.response);
    this.#tier = tierOf(answer.service_tier) ?? this.#tier;
    this.#seeChoices(chunk);
    this.#seeItems(chunk, answer);
    if (typeof answer.usage === "object" && answer.usage !== null) {
      this.#usage = answer.usage;
      this.isFresh = true;
    }
    if (this.#usage !== undefined) this.report = this.#read();
  }

  #seeChoices({ choices, data }: Json): void {
    if (Array.isArray(data)) this.#isEmbedding = this.hasEnded = true;
    for (const choice of listOf(choices)) {
      const said = objectOf(choice.delta ?? choice.message);
      if (Object.entries(said).some(([field, value]) => isOutput(field, value)))
        this.isFresh = false;
      if (listOf(said.annotations).some(({ type }) => type === "url_citation"))
        this.#isAnnotated = true;
      if (choice.finish_reason !== undefined && choice.finish_reason !== null) this.hasEnded = true;
    }
  }

  #seeItems({ type, item }: Json, answer: Json): void {
    if (typeof type === "string" && /\.delta$/.test(type)) this.isFresh = false;
    if (/^response\.(completed|incomplete)$/.test(String(type))) this.hasEnded = true;
    if (type === undefined && /^(completed|incomplete)$/.test(String(answer.status)))
      this.hasEnded = true;
    const done = type === "response.output_item.done" ? [objectOf(item)] : [];
    for (const [index, each] of [...done, ...listOf(answer.output)].entries()) {
      if (UNPRICED_ITEMS.has(String(each.type))) this.#isUnpriced = true;
      const action = String(objectOf(each.action).type);
      if (each.type !== "web_search_call" || NO_SEARCH.has(action)) continue;
      this.#searches.add(typeof each.id === "string" ? each.id : `${index}`);
    }
  }

  #read(): Report {
    const usage = this.#isEmbedding
      ? { completion_tokens: 0, ...objectOf(this.#usage) }
      : this.#usage;
    const report = readUsage(usage, this.#provider, this.#model);
    const { web_searches: stated = 0 } = report.counts;
    // A model that cites pages has searched; where that is its only way to answer, it is priced by the call.
    const cited =
      this.#provider === "openai" && this.#isAnnotated && !/-search-/.test(this.#model) ? 1 : 0;
    const searches = Math.max(stated, this.#searches.size, cited);
    const counts = searches ? { ...report.counts, web_searches: searches } : report.counts;
    // Research searches as often as it likes; only its own provider lists what it did.
    const isUncounted =
      searches === 0 && this.#provider !== "openai" && /deep-research/.test(this.#model);
    const isWhole = report.isWhole && !this.#isUnpriced && !isUncounted;
    return { counts, isWhole, ...(this.#tier && { tier: this.#tier }) };
  }
}

function isOutput(field: string, value: unknown): boolean {
  if (field === "role" || field === "annotations") return false;
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

/** The counts of a usage object. */
function readUsage(value: unknown, provider: string, model: string): Report {
  const usage = objectOf(value);
  const [prompt, completion] = [
    objectOf(
      usage.prompt_tokens_details ?? usage.input_tokens_details ?? usage.input_token_details,
    ),
    objectOf(
      usage.completion_tokens_details ?? usage.output_tokens_details ?? usage.output_token_details,
    ),
  ];
  const reader = new CountReader();
  const total = reader.read(usage.total_tokens);
  const input = reader.read(usage.prompt_tokens ?? usage.input_tokens ?? usage.total_tokens);
  const statedOutput = usage.completion_tokens ?? usage.output_tokens;
  const output = reader.read(statedOutput);
  const isOutputStated = statedOutput !== undefined && statedOutput !== null;

  const { cacheRead, written, hourly } = readCache(reader, usage, prompt);
  const reasoning = reader.largest(completion.reasoning_tokens, usage.reasoning_tokens);
  const isResearch = provider === "perplexity" && /deep-research/.test(model);
  const citations = isResearch ? reader.read(usage.citation_tokens) : 0;
  const searches = reader.largest(
    isResearch ? usage.num_search_queries : 0,
    usage.num_sources_used,
    objectOf(usage.server_tool_use).web_search_requests,
  );

  // Perplexity's total leaves out what it counts beside the completion.
  const outside =
    provider === "perplexity"
      ? {
          reasoning: reasoning > 0 && completion.reasoning_tokens === undefined,
          cache: false,
          rest: 0,
        }
      : outsideOf(total - input - output, reasoning, cacheRead + written);
  const isReasoningOutside = outside.reasoning || reasoning > output;

  const report = reportOf(
    input + citations + (outside.cache ? cacheRead + written : 0),
    {
      cache_read_tokens: cacheRead,
      cache_write_tokens: written - hourly,
      cache_write_1h_tokens: hourly,
      audio_input_tokens: reader.read(prompt.audio_tokens),
      image_input_tokens: reader.read(prompt.image_tokens),
    },
    output + (isReasoningOutside ? reasoning : 0) + outside.rest,
    {
      reasoning_tokens: reasoning + (isOutputStated ? outside.rest : 0),
      audio_output_tokens: reader.read(completion.audio_tokens),
      image_output_tokens: reader.read(completion.image_tokens),
    },
    { web_searches: searches },
    true,
  );
  // No call has an empty prompt: a provider that reports 0 reports nothing.
  const isComplete = input > 0 && (isOutputStated || total > 0);
  return { ...report, isWhole: report.isWhole && isComplete && reader.isSound };
}

/** Tokens that were read from the cache, all that were written to it, and those of them that are kept for an hour. */
function readCache(
  reader: CountReader,
  usage: Record<string, unknown>,
  prompt: Record<string, unknown>,
) {
  const cacheRead = reader.largest(
    prompt.cached_tokens,
    usage.cached_tokens,
    usage.prompt_cache_hit_tokens,
    usage.cache_read_input_tokens,
  );
  const written = reader.largest(
    prompt.cache_write_tokens,
    prompt.cache_creation_tokens,
    usage.cache_write_tokens,
    usage.cache_creation_input_tokens,
  );
  const hourly = Math.min(
    written,
    reader.largest(
      objectOf(usage.cache_creation).ephemeral_1h_input_tokens,
      objectOf(prompt.cache_creation_token_details).ephemeral_1h_input_tokens,
    ),
  );
  return { cacheRead, written, hourly };
}

interface Outside {
  reasoning: boolean;
  cache: boolean;
  /** Tokens of the total that nothing explains: hidden output, as providers leave out their thoughts. */
  rest: number;
}

/** Which parts a provider counts beside its prompt and completion: those that make up what its total is above them. */
function outsideOf(above: number, reasoning: number, cache: number): Outside {
  if (above <= 0) return { reasoning: false, cache: false, rest: 0 };
  if (above === reasoning) return { reasoning: true, cache: false, rest: 0 };
  if (above === cache) return { reasoning: false, cache: true, rest: 0 };
  if (above === reasoning + cache) return { reasoning: true, cache: true, rest: 0 };
  const isBeside = above > reasoning;
  return { reasoning: isBeside, cache: false, rest: isBeside ? above - reasoning : above };
}
