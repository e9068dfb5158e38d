// One client, signed in as the person who looks: row-level security decides what he sees.
import {
  createClient,
  type PostgrestError,
  type Session,
  type SupabaseClient,
} from "@supabase/supabase-js";
import { useSyncExternalStore } from "react";
import type { Config } from "./config.ts";

/** Rows in one answer of the Data API, whatever is asked for. */
const PAGE = 1000;

let client: SupabaseClient<Any, "spend">;
let config: Config;
let session: Session | null = null;
const listeners = new Set<() => void>();

// biome-ignore lint/suspicious/noExplicitAny: the rows' types stand in feeds.ts, with money as text.
type Any = any;

/** Signs in whoever was signed in before. `onOtherPerson` is called when somebody else is, or nobody. */
export async function connect(to: Config, onOtherPerson: () => void): Promise<void> {
  config = to;
  client = createClient<Any, "spend">(to.url, to.publishableKey, { db: { schema: "spend" } });
  const { data } = await client.auth.getSession();
  session = data.session;
  client.auth.onAuthStateChange((_, changed) => {
    if (changed?.user.id !== session?.user.id) onOtherPerson();
    session = changed;
    for (const listener of listeners) listener();
  });
}

export function useSession(): Session | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => session,
  );
}

export const auth = () => client.auth;
export const spend = () => client;
export const projectConfig = () => config;

/** An answer of the Data API that is an error. */
export class DataError extends Error {
  override name = "DataError";
  readonly code: string;
  readonly hint: string | null;
  readonly status: number;
  /** The argument that is wrong, where the database names one. */
  readonly field: string | undefined;

  constructor(
    {
      code,
      message,
      hint,
      details,
    }: Pick<PostgrestError, "code" | "message" | "hint"> & { details?: string | null },
    status: number,
  ) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.status = status;
    this.field = fieldOf(details);
  }
}

/** Details of the contract are JSON; Postgres' own are words. */
function fieldOf(details: string | null | undefined): string | undefined {
  try {
    const { field } = JSON.parse(details ?? "{}");
    return typeof field === "string" ? field : undefined;
  } catch {
    return undefined;
  }
}

interface Answer<T> {
  data: T | null;
  error: PostgrestError | null;
  status: number;
  count?: number | null;
}

export async function answerOf<T>(asking: PromiseLike<Answer<T>>): Promise<T> {
  const { data, error, status } = await asking;
  if (!error) return data as T;
  if (status === 0) {
    throw new DataError(
      {
        code: "unreachable",
        message: `${config.url} does not answer.`,
        hint: "Check the network, and that the project runs.",
      },
      0,
    );
  }
  // The token is no longer taken: the person signs in again.
  if (status === 401) await client.auth.signOut({ scope: "local" });
  throw new DataError(error, status);
}

/** Calls a function that returns rows. `select` casts money to text. */
export function rpc<T>(name: string, args: object, select: string): Promise<T[]> {
  return answerOf<T[]>(client.rpc(name, args).select(select) as Any);
}

/** As `rpc`, for more rows than one answer has. */
export async function rpcAll<T>(name: string, args: object, select: string): Promise<T[]> {
  const rows: T[] = [];
  for (;;) {
    const page: T[] = await answerOf<T[]>(
      client
        .rpc(name, args)
        .select(select)
        .range(rows.length, rows.length + PAGE - 1) as Any,
    );
    rows.push(...page);
    if (page.length < PAGE) return rows;
  }
}

/** Calls a function that returns one value. */
export function rpcOne<T>(name: string, args: object): Promise<T> {
  return answerOf<T>(client.rpc(name, args) as Any);
}
