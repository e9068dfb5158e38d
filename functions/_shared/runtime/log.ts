// Structured logs: one JSON object a line, with the request and the trace that it is of. Never prompts, answers, tokens
// or keys.
import { SpendgateError } from "../errors.ts";
import { describeRequest } from "./telemetry/context.ts";

export const LEVELS = ["debug", "info", "warn", "error"] as const;
export type Level = (typeof LEVELS)[number];
export type LogFields = Record<string, string | number | boolean | null | undefined>;

let least: Level = "info";

/** Leaves out what is less grave, from now on. */
export function setLogLevel(level: Level): void {
  least = level;
}

export function log(level: Level, event: string, fields: LogFields = {}): void {
  if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return;
  const time = new Date().toISOString();
  const own = withoutUndefined(fields);
  console[level](JSON.stringify({ time, level, event, ...own, ...describeRequest(), ...own }));
}

const logged = new WeakSet<SpendgateError>();

/** Logs a failure that goes on to somebody who logs failures too: there is one line of it. */
export function logOnce(
  level: Level,
  event: string,
  error: SpendgateError,
  fields: LogFields = {},
): void {
  if (isLogged(error)) return;
  logged.add(error);
  log(level, event, { ...fields, ...describeError(error) });
}

/** It, or the one that it is told in the place of. */
function isLogged(error: unknown): boolean {
  return error instanceof SpendgateError && (logged.has(error) || isLogged(error.cause));
}

/** Somebody else has logged it, in words of its own. */
export function markLogged(error: unknown): void {
  if (error instanceof SpendgateError) logged.add(error);
}

/** The message of an error, for whoever is asked to mend it: never for a log or a trace, which it may give a prompt to. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Names of the header in which a provider says the id of a request. */
const REQUEST_ID_HEADERS = ["x-request-id", "request-id", "x-goog-request-id", "cf-ray"];

/**
 * What a log or a trace may say of any error: our code and, of what is not ours, its class, name, status, code and
 * request id. Never its words: a provider's may hold a prompt, an answer or a key.
 */
export function describeError(thrown: unknown): LogFields {
  if (!(thrown instanceof SpendgateError)) return describeForeign(thrown);
  const cause = thrown.cause === undefined ? {} : describeForeign(thrown.cause);
  return { error: thrown.code, ...cause };
}

function describeForeign(error: unknown): LogFields {
  if (error instanceof SpendgateError) return describeError(error);
  const { name, code, sqlstate, status, statusCode, responseHeaders, cause } = fieldsOf(error);
  const headers = fieldsOf(responseHeaders);
  const providerRequestId = REQUEST_ID_HEADERS.map((header) => headers[header]).find(isWord);
  return withoutUndefined({
    class: error instanceof Error ? error.constructor.name : typeof error,
    name: isWord(name) ? name : undefined,
    status: [status, statusCode].find((each) => typeof each === "number"),
    code: [code, sqlstate, fieldsOf(cause).code].find(isWord),
    providerRequestId,
  });
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** A name or a code, and no sentence. */
function isWord(value: unknown): value is string | number {
  return typeof value === "number" || (typeof value === "string" && /^[\w.:-]{1,64}$/.test(value));
}

function withoutUndefined(fields: LogFields): LogFields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
