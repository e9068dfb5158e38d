// The body of a request: read within a limit of bytes and time, and checked.
import type { z } from "zod";
import { type Issue, invalidRequest, SpendgateError } from "../errors.ts";
import type { Env } from "../runtime/env.ts";
import type { Context, Handler } from "./serve.ts";

/** A handler that takes a JSON body which fits `schema`. @throws SpendgateError see readJson. */
export function endpoint<C extends Context, T extends z.ZodType>(
  schema: T | ((env: Env) => T),
  handler: (context: C, body: z.output<T>) => Promise<Response>,
): Handler<C> {
  return async (context) => {
    const { env, request } = context;
    const shape = typeof schema === "function" ? schema(env) : schema;
    return handler(context, await readJson(request, shape, env.maxBodyBytes));
  };
}

/** The same of a form, with files in it, of `maxBytes` at most. @throws SpendgateError see readForm. */
export function formEndpoint<C extends Context, T extends z.ZodType>(
  schema: T,
  maxBytes: number,
  handler: (context: C, body: z.output<T>) => Promise<Response>,
): Handler<C> {
  return async (context) => handler(context, await readForm(context.request, schema, maxBytes));
}

/**
 * The fields of a form that fit `schema`. Lists are written as `name[]`, once for each item.
 * @throws SpendgateError request_too_large above `maxBytes`; invalid_request with the `issues`.
 */
async function readForm<T extends z.ZodType>(
  request: Request,
  schema: T,
  maxBytes: number,
): Promise<z.output<T>> {
  const headers = { "content-type": request.headers.get("content-type") ?? "" };
  const body = new Response(await readBody(request, maxBytes), { headers });
  const form = await body.formData().catch(() => {
    throw invalidRequest([{ path: "", message: "The body is not a form (multipart/form-data)." }]);
  });
  const fields = new Map<string, unknown>();
  for (const key of new Set(form.keys())) {
    const values = form.getAll(key);
    const isList = key.endsWith("[]") || values.length > 1;
    fields.set(key.replace(/\[\]$/, ""), isList ? values : values[0]);
  }
  return fitting(schema, Object.fromEntries(fields));
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Objects and lists within each other: what is deeper, recursion could not follow to its end. */
const MOST_DEPTH = 500;

/**
 * The body as JSON that fits `schema`.
 * @throws SpendgateError request_too_large above `maxBytes`; invalid_request with the `issues`.
 */
export async function readJson<T extends z.ZodType>(
  request: Request,
  schema: T,
  maxBytes: number,
): Promise<z.output<T>> {
  const bytes = await readBody(request, maxBytes);
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch (error) {
    const isText = error instanceof SyntaxError;
    throw invalidRequest([{ path: "", message: `The body is not ${isText ? "JSON" : "UTF-8"}.` }]);
  }
  if (isDeeperThan(MOST_DEPTH, value)) {
    const message = `Its values are more than ${MOST_DEPTH} levels deep. Send a flatter body.`;
    throw invalidRequest([{ path: "", message }]);
  }
  return fitting(schema, value);
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isDeeperThan(levels - 1, each));
}

/** @throws SpendgateError invalid_request with the `issues`. */
function fitting<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value);
  if (!result.success) {
    throw invalidRequest(result.error.issues.flatMap((issue) => describeIssue(issue, [])));
  }
  return result.data;
}

/** Null is what some clients send for every field that was not set, those too that are not known here. */
export function withoutNulls(body: unknown): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

/** Each field that is not known by its own path; of a choice, what is wrong with the one that fits best. */
function describeIssue(issue: z.core.$ZodIssue, above: PropertyKey[]): Issue[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      path: [...path, key].join("."),
      message: "This field is not known here.",
    }));
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const branches = issue.errors.map((issues) =>
      issues.flatMap((each) => describeIssue(each, path)),
    );
    const depth = ([first]: Issue[]) => first?.path.split(".").length ?? 0;
    const [best] = branches.sort((a, b) => depth(b) - depth(a) || a.length - b.length);
    // None of them fits better than the others: the choice as a whole is wrong.
    if (best && depth(best) > path.length) return best;
    return [{ path: path.join("."), message: wordsOf(issue) }];
  }
  return [{ path: path.join("."), message: issue.message }];
}

/** What a choice says of itself, else what each of its branches would take. */
function wordsOf({ message, errors }: z.core.$ZodIssueInvalidUnion): string {
  if (message !== "Invalid input") return message;
  const wanted = errors.map(([first]) => first?.message.replace(/^Invalid \w+: expected /, ""));
  return `Invalid input: expected ${[...new Set(wanted)].map((each) => each?.replace(/, received .*/, "")).join(", or ")}`;
}

/** Seconds that a body may take to arrive, at 4 Mbit/s where it may be large: a client that dawdles must not keep a worker. */
const secondsFor = (maxBytes: number) => Math.max(30, Math.ceil(maxBytes / 500_000));

/** Counts while it reads: Content-Length may be missing or wrong. */
async function readBody(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = () =>
    new SpendgateError("request_too_large", `The body is larger than ${maxBytes} bytes.`, {
      details: { maxBytes },
    });
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
  if ((request.headers.get("content-encoding") ?? "identity") !== "identity") {
    const message = "Send the body as it is, without a Content-Encoding.";
    throw invalidRequest([{ path: "content-encoding", message }]);
  }
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const seconds = secondsFor(maxBytes);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    reader.cancel().catch(() => {});
  }, seconds * 1000);
  try {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    let bytes = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (isLate) throw tooSlow(seconds);
      if (done) return joined(pieces, bytes);
      bytes += value.byteLength;
      if (bytes > maxBytes) throw tooLarge();
      pieces.push(value);
    }
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => {});
  }
}

function joined(pieces: Uint8Array<ArrayBuffer>[], bytes: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

function tooSlow(seconds: number): SpendgateError {
  const words = `The body did not arrive within ${seconds} s; nothing was spent.`;
  return new SpendgateError("request_timeout", words);
}
