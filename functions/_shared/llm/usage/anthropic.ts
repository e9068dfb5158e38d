// Usage in Anthropic's format: the cache is counted beside the input, thinking within the output.
import {
  CountReader,
  type Json,
  listOf,
  objectOf,
  type Report,
  reportOf,
  tierOf,
} from "./report.ts";

/** Reads what one call's answer, or the events of its stream, say of its usage. */
export class AnthropicUsage {
  /** The latest report; undefined while there is none. */
  report: Report | undefined;
  /** Nothing was produced after the latest report. */
  isFresh = false;
  /** The provider said what the whole answer used. */
  hasEnded = false;
  /** Of every field what was said last: a stream says some at its beginning and the others at its end. */
  #usage: Json = {};
  #searches = 0;

  /** An event of a stream, or a whole answer. */
  see(body: unknown): void {
    const event = objectOf(body);
    const { type } = event;
    if (type === "content_block_delta") this.isFresh = false;
    for (const block of [objectOf(event.content_block), ...listOf(event.content)]) {
      if (block.type === "server_tool_use" && block.name === "web_search") this.#searches += 1;
    }
    const usage = type === "message_start" ? objectOf(event.message).usage : event.usage;
    if (typeof usage !== "object" || usage === null) return;
    for (const [field, value] of Object.entries(usage)) {
      if (value !== null && value !== undefined) this.#usage[field] = value;
    }
    const isFinal = type !== "message_start" && objectOf(usage).output_tokens !== undefined;
    this.hasEnded ||= isFinal;
    this.isFresh = isFinal;
    this.report = this.#read();
  }

  #read(): Report {
    const usage = this.#usage;
    const reader = new CountReader();
    const own = countsOf(usage, reader);
    // What compacting the conversation used is in the list of iterations alone, as is what a fallback did not serve.
    const iterations = listOf(usage.iterations);
    const isServedByOther = iterations.some(({ type }) => type === "fallback_message");
    const executed = iterations
      .filter(({ type }) => type === "message" || type === "compaction")
      .map((iteration) => countsOf(iteration, reader));
    const largest = (count: (of: AnthropicCounts) => number) =>
      Math.max(
        count(own),
        isServedByOther ? 0 : executed.reduce((sum, each) => sum + count(each), 0),
      );
    const [read, written] = [largest(({ read }) => read), largest(({ written }) => written)];
    const hourly = Math.min(
      written,
      reader.read(objectOf(usage.cache_creation).ephemeral_1h_input_tokens),
    );
    const tools = objectOf(usage.server_tool_use);
    const uncached = largest(({ input }) => input);
    const report = reportOf(
      uncached + read + written,
      {
        cache_read_tokens: read,
        cache_write_tokens: written - hourly,
        cache_write_1h_tokens: hourly,
      },
      largest(({ output }) => output),
      { reasoning_tokens: reader.read(objectOf(usage.output_tokens_details).thinking_tokens) },
      {
        web_searches:
          tools.web_search_requests === undefined
            ? this.#searches
            : reader.read(tools.web_search_requests),
      },
      true,
    );
    // Another model's tokens have another price, and code runs at a price by the hour.
    const isPriced =
      iterations.every(({ type }) => type === "message" || type === "compaction") &&
      !reader.read(tools.code_execution_requests);
    const isComplete = report.counts.input_tokens > 0 && usage.output_tokens !== undefined;
    const tier = tierOf(usage.service_tier, usage.speed, usage.inference_geo);
    return {
      ...report,
      isWhole: report.isWhole && isComplete && isPriced && reader.isSound,
      ...(tier && { tier }),
    };
  }
}

interface AnthropicCounts {
  input: number;
  output: number;
  read: number;
  written: number;
}

function countsOf(usage: Json, reader: CountReader): AnthropicCounts {
  const creation = objectOf(usage.cache_creation);
  return {
    input: reader.read(usage.input_tokens),
    output: reader.read(usage.output_tokens),
    read: reader.read(usage.cache_read_input_tokens),
    written: Math.max(
      reader.read(usage.cache_creation_input_tokens),
      reader.read(creation.ephemeral_5m_input_tokens) +
        reader.read(creation.ephemeral_1h_input_tokens),
    ),
  };
}
