// What a call used: as its provider reports it, checked against what came, and as far as it can be told until then.
import type {
  LanguageModelV4Content,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
} from "@ai-sdk/provider";
import type { Usage } from "../../gate/gate.ts";
import type { Product } from "../model_name.ts";
import { AnthropicUsage } from "./anthropic.ts";
import { GoogleUsage } from "./google.ts";
import { OpenAIUsage } from "./openai.ts";
import { Produced } from "./produced.ts";
import { CountReader, objectOf, type Report, toUsage } from "./report.ts";

/** An answer that did not stream, as far as its usage goes. */
interface Answer {
  usage?: LanguageModelV4Usage;
  response?: { body?: unknown };
  content?: LanguageModelV4Content[];
}

/**
 * Reads the usage of one call, of whatever its provider sends: the raw chunks of a stream, which need not be ones that
 * the SDK understands, or a whole answer, or the body of one that the SDK rejects.
 */
export class UsageReader {
  readonly produced = new Produced();
  readonly #format: OpenAIUsage | AnthropicUsage | GoogleUsage;
  /** Of a report that only the SDK gives. */
  #sdk: Report | undefined;
  #isBroken = false;

  constructor({ provider, model }: Product) {
    if (provider === "anthropic") this.#format = new AnthropicUsage();
    else if (provider === "google") this.#format = new GoogleUsage(model);
    else this.#format = new OpenAIUsage(provider, model);
  }

  /** A part of a stream, raw chunks among them. */
  see(part: LanguageModelV4StreamPart): void {
    this.produced.add(part);
    if (part.type === "raw") this.#format.see(part.rawValue);
    if (part.type === "error") this.#isBroken = true;
    if (part.type === "finish") {
      if (part.finishReason.unified === "interrupted") this.#isBroken = true;
      else this.#sdk = fromSdk(part.usage);
    }
  }

  /** An answer that did not stream: of a language model, or of an embedding model. */
  seeAnswer({ usage, response, content }: Answer): void {
    this.produced.addContent(content ?? []);
    this.seeBody(response?.body);
    // The SDK may have sent several requests for one answer; the body is that of the last.
    if (this.#format instanceof GoogleUsage) this.#format.replaceUsage(usage?.raw);
    if (usage) this.#sdk = fromSdk(usage);
  }

  /** The body of an answer, parsed or as text; what is no answer says nothing. */
  seeBody(body: unknown): void {
    this.#format.see(typeof body === "string" ? parsed(body) : body);
    this.#format.hasEnded = true;
  }

  /** The body of an answer that the SDK rejects: a provider bills it all the same. Its own refusals have none. */
  seeError(error: unknown): void {
    const { responseBody, statusCode, cause } = objectOf(error);
    if (Number(statusCode ?? 200) >= 400) return;
    if (responseBody !== undefined) this.seeBody(responseBody);
    else if (cause !== undefined && cause !== error) this.seeError(cause);
  }

  /** The reported usage, as a whole; undefined while, and when, there is none. What came must be in it. */
  get usage(): Usage | undefined {
    const report = this.#report;
    const isWhole = report?.isWhole && !this.#isBroken && !this.#isContradicted(report);
    return isWhole ? toUsage(report) : undefined;
  }

  /** Whether the latest report has all output so far in it, the hidden too. */
  get isReported(): boolean {
    const report = this.#format.report;
    return (
      report !== undefined &&
      this.#format.isFresh &&
      report.counts.output_tokens > 0 &&
      report.counts.output_tokens >= this.produced.words
    );
  }

  /** The counted usage: the latest report of input and output, else the input that was held, and no less than came. */
  counted(bound: Usage): Usage {
    const counts = this.#format.report?.counts ?? this.#sdk?.counts;
    const output = Math.max(counts?.output_tokens ?? 0, this.produced.about);
    // What is a file's is not known to be text's.
    const files: Usage = this.#hidesFiles(counts)
      ? { image_output_tokens: output - (counts?.reasoning_tokens ?? 0) }
      : {};
    if (!counts?.input_tokens)
      return { ...bound, ...counts, ...inputOf(bound), output_tokens: output, ...files };
    const tier = this.#format.report?.tier;
    return { ...counts, output_tokens: output, ...files, ...(tier && { service_tier: tier }) };
  }

  get #report(): Report | undefined {
    const { report, hasEnded, isFresh } = this.#format;
    if (report === undefined) return this.#sdk;
    return { ...report, isWhole: report.isWhole && hasEnded && isFresh };
  }

  #isContradicted({ counts }: Report): boolean {
    return counts.output_tokens < this.produced.words || this.#hidesFiles(counts);
  }

  /** Files came, which may cost more than text, and none is counted. */
  #hidesFiles(counts: Report["counts"] | undefined): boolean {
    return this.produced.files > 0 && !counts?.image_output_tokens && !counts?.audio_output_tokens;
  }
}

/** What the `usage` of an answer says that is neither a text nor an embedding; undefined where it is no whole report. */
export function reportedUsage(product: Product, usage: unknown): Usage | undefined {
  const reader = new UsageReader(product);
  reader.seeBody({ usage });
  return reader.usage;
}

/** The counts of the input, as they were held. */
function inputOf(bound: Usage): Usage {
  return Object.fromEntries(
    Object.entries(bound).filter(([meter]) => meter === "input_tokens" || /^cache_/.test(meter)),
  );
}

/** What the SDK makes of a report, for where nothing raw is there to read. */
function fromSdk({ inputTokens, outputTokens }: LanguageModelV4Usage): Report | undefined {
  const reader = new CountReader();
  const [input, output] = [inputTokens.total, outputTokens.total].map((count) =>
    reader.read(count),
  );
  if (!input || outputTokens.total === undefined) return undefined;
  const parts = {
    cache_read_tokens: inputTokens.cacheRead,
    cache_write_tokens: inputTokens.cacheWrite,
    reasoning_tokens: outputTokens.reasoning,
  };
  const counted = Object.entries(parts)
    .map(([meter, count]) => [meter, reader.read(count)] as const)
    .filter(([, count]) => count > 0);
  return {
    counts: { input_tokens: input, output_tokens: output ?? 0, ...Object.fromEntries(counted) },
    isWhole: reader.isSound,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
