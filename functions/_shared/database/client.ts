// The Data API's schema spend, typed: a misspelled function, argument or answer does not compile.
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import type { z } from "zod";
import { SpendgateError } from "../errors.ts";
import { inBackground } from "../runtime/background.ts";
import type { Env } from "../runtime/env.ts";
import { fetchOnce } from "../runtime/fetch_once.ts";
import { describeError, log } from "../runtime/log.ts";
import { traceHeaders } from "../runtime/telemetry/context.ts";
import { errorType, inSpan } from "../runtime/telemetry/spans.ts";
import { record } from "../runtime/telemetry/telemetry.ts";
import { CONTRACT_VERSION, contractMismatch } from "./contract.ts";
import { databaseError, isUnknownFunction, unavailable } from "./errors.ts";
import type { Database as Schemas } from "./types.ts";

type Functions = Schemas["spend"]["Functions"];
export type SqlFunction = keyof Functions;

/** Arguments by name. Each may be null, which the generated types do not know. */
export type Arguments<N extends SqlFunction> = Functions[N] extends { Args: infer Args }
  ? [Args] extends [never]
    ? Record<string, never>
    : { [Name in keyof Args]: Args[Name] | null }
  : never;

type Row<T> = NonNullable<T extends readonly (infer Each)[] ? Each : T>;
type UnknownKeys<Answer, Returns> = Answer extends object
  ? Exclude<keyof Answer, keyof Returns | (string extends keyof Answer ? string : never)>
  : never;

/** A schema of what a function answers, which names no field that the function does not have. */
export type AnswerSchema<N extends SqlFunction, T extends z.ZodType> = [
  UnknownKeys<Row<z.output<T>>, Row<Functions[N]["Returns"]>>,
] extends [never]
  ? T
  : never;

/** What begins to spend. All else finishes what was begun, and is tried whatever contract the database has. */
const BEGINNINGS: SqlFunction[] = ["reserve", "reserve_many", "claim_context", "use_context"];

/** Milliseconds after which a database of another contract is asked again whether it still is. */
const ASK_AGAIN_MS = 10_000;

/** SQL reads them as `request.headers`: the trace goes on there. */
const fetchInTrace: typeof fetch = (input, init) => {
  const trace = Object.entries(traceHeaders());
  if (trace.length === 0) return fetchOnce(input, init);
  const headers = new Headers(init?.headers);
  for (const [name, value] of trace) headers.set(name, value);
  return fetchOnce(input, { ...init, headers });
};

/** One connection to the Data API, with the project's secret key. */
export class Database {
  readonly #client: SupabaseClient<Schemas, "spend">;
  readonly #timeoutMs: number;
  /** The database's contract where it is not ours, and when that was found. */
  #other: { version: number | null; at: number } | undefined;

  constructor(env: Env) {
    this.#timeoutMs = env.gateTimeoutMs;
    this.#client = createClient<Schemas, "spend">(env.supabaseUrl, env.secretKey, {
      db: { schema: "spend" },
      // Nobody signs in: the key is asked for in the place of a session.
      accessToken: () => Promise.resolve(env.secretKey),
      global: { fetch: fetchInTrace },
    });
  }

  /**
   * Calls a function of schema spend; `answer` is the shape of what it returns.
   * @throws SpendgateError what the database refuses; quota_unavailable when it gives no answer; not_configured when
   *   it is of another contract version than this code.
   */
  async rpc<N extends SqlFunction, T extends z.ZodType>(
    name: N,
    answer: T & AnswerSchema<N, T>,
    args: Arguments<N>,
  ): Promise<z.output<T>> {
    if (BEGINNINGS.includes(name)) this.#refuseOther();
    const call = { dbProcedure: `spend.${name}` };
    const startedAt = performance.now();
    let error: string | undefined;
    try {
      return await inSpan(
        call.dbProcedure,
        { kind: "client", attributes: { ...call, dbSystem: "postgresql" } },
        () => this.#rpc<T>(name, answer, args),
      );
    } catch (thrown) {
      error = errorType(thrown);
      throw thrown;
    } finally {
      record("gateDuration", (performance.now() - startedAt) / 1000, { ...call, error });
    }
  }

  async #rpc<T extends z.ZodType>(
    name: SqlFunction,
    answer: T,
    args: object,
  ): Promise<z.output<T>> {
    const { data, error } = await this.#client
      .rpc(name, args as never)
      .abortSignal(this.deadline());
    if (error) {
      if (isUnknownFunction(error)) await this.#askContract();
      throw databaseError(error);
    }
    const result = answer.safeParse(data);
    if (result.success) return result.data as z.output<T>;
    const unread = unavailable(
      `spend.${name} answered in an unknown shape: ${result.error.message}`,
    );
    await this.#askContract(unread.cause);
    throw unread;
  }

  /** A table or view of schema spend; end the query with `.abortSignal(database.deadline())`. */
  get from(): SupabaseClient<Schemas, "spend">["from"] {
    return this.#client.from.bind(this.#client);
  }

  deadline(): AbortSignal {
    return AbortSignal.timeout(this.#timeoutMs);
  }

  /** Says in the log, in the background, where the database is of another contract. */
  checkContract(): void {
    inBackground(
      this.#askContract().catch((error) => {
        log("error", "contract_mismatch", describeError(error));
      }),
    );
  }

  /**
   * The database's contract version, which is ours.
   * @throws SpendgateError not_configured, with `cause` where there was another failure before; quota_unavailable.
   */
  async expectContract(cause?: unknown): Promise<number> {
    const version = await this.#contractVersion();
    const isOurs = version === CONTRACT_VERSION;
    this.#other = isOurs ? undefined : { version, at: Date.now() };
    if (!isOurs) throw contractMismatch(version, cause);
    return CONTRACT_VERSION;
  }

  /** Null where it has none. @throws SpendgateError quota_unavailable */
  async #contractVersion(): Promise<number | null> {
    const { data, error } = await this.#client.rpc("contract_version").abortSignal(this.deadline());
    if (error && !isUnknownFunction(error)) throw databaseError(error);
    return typeof data === "number" ? data : null;
  }

  /** @throws SpendgateError not_configured while the database is known to be of another contract. */
  #refuseOther(): void {
    if (this.#other === undefined) return;
    if (Date.now() - this.#other.at > ASK_AGAIN_MS) {
      this.#other.at = Date.now();
      this.checkContract();
    }
    throw contractMismatch(this.#other.version);
  }

  /** @throws SpendgateError not_configured when the database is of another contract; what it cannot say is no mismatch. */
  async #askContract(cause?: unknown): Promise<void> {
    await this.expectContract(cause).catch((error) => {
      if (error instanceof SpendgateError && error.code === "not_configured") throw error;
    });
  }
}
