// Who calls.
import {
  AuthClient,
  isAuthApiError,
  isAuthRetryableFetchError,
  type JWK,
} from "@supabase/supabase-js";
import * as z from "zod";
import { SpendgateError } from "../errors.ts";
import { type Env, perEnv } from "../runtime/env.ts";
import { tokenOf } from "./token.ts";

const claims = z.object({
  sub: z.guid(),
  role: z.literal("authenticated"),
  /** Seconds. */
  exp: z.number(),
});

/**
 * Id of the signed-in user, from the bearer token.
 * @throws SpendgateError unauthorized when there is none or Auth does not vouch for it; quota_unavailable when
 *   Auth does not answer, or is asked too often.
 */
export async function authenticate(request: Request, env: Env): Promise<string> {
  const token = tokenOf(request);
  if (!token) throw unauthorized("Send the user's JWT as a bearer token.");
  const known = verified(env).get(token);
  if (known && known.until > Date.now()) return known.userId;
  const keyId = keyIdOf(token);
  if (keyId && (unknownKeys.get(keyId) ?? 0) > Date.now()) throw unauthorized(INVALID);
  // Asymmetric tokens are verified here, symmetric ones by asking Auth.
  const { data, error } = await authOf(env)
    .getClaims(token, { jwks: env.jwks as { keys: JWK[] } | undefined })
    .catch((error) => ({ data: null, error }));
  // Asked too often, Auth says nothing of the token: whoever sent it is as much signed in as before.
  const isBusy = isAuthApiError(error) && error.status === 429;
  if (isBusy || isAuthRetryableFetchError(error)) {
    throw new SpendgateError("quota_unavailable", "Auth does not answer; nothing was spent.", {
      retryAfter: 5,
      cause: error,
    });
  }
  // Auth is asked about an asymmetric token only where none of its keys has signed it.
  if (keyId && isAuthApiError(error)) rememberUnknown(keyId);
  const user = claims.safeParse(data?.claims);
  if (error || !user.success) throw unauthorized(INVALID);
  if (keyId) rememberVerified(token, user.data, env);
  return user.data.sub;
}

interface Verified {
  userId: string;
  /** Milliseconds. */
  until: number;
}

/**
 * Tokens whose signature was found right: to verify it costs more than all else that a function does before its first query.
 * Only asymmetric ones. Auth is asked about others each time: it may say no to what it said yes to before.
 */
const verified = perEnv((_env) => new Map<string, Verified>());
/** As long as a key that is revoked may still vouch for a token. */
const VERIFIED_MS = 5 * 60_000;
const MOST_VERIFIED = 1000;

function rememberVerified(token: string, { sub, exp }: z.output<typeof claims>, env: Env): void {
  const tokens = verified(env);
  if (tokens.size >= MOST_VERIFIED) tokens.clear();
  tokens.set(token, { userId: sub, until: Math.min(exp * 1000, Date.now() + VERIFIED_MS) });
}

const INVALID = "The JWT is not valid.";

/** Ids of keys that Auth does not know, and until when (milliseconds) it is not asked for them again. */
const unknownKeys = new Map<string, number>();
const UNKNOWN_MS = 30_000;
const MOST_UNKNOWN = 1000;

function rememberUnknown(keyId: string): void {
  if (unknownKeys.size >= MOST_UNKNOWN) unknownKeys.clear();
  unknownKeys.set(keyId, Date.now() + UNKNOWN_MS);
}

/** Id of the asymmetric key that a token says it is signed with. */
function keyIdOf(token: string): string | undefined {
  try {
    const [head = ""] = token.split(".");
    const { alg, kid } = JSON.parse(atob(head.replaceAll("-", "+").replaceAll("_", "/")));
    return typeof kid === "string" && !/^HS/.test(String(alg)) ? kid : undefined;
  } catch {
    return undefined;
  }
}

/** One client for all requests: it knows nobody's session, and keeps the keys that tokens are verified with. */
const authOf = perEnv(
  (env) =>
    new AuthClient({
      url: `${env.supabaseUrl}/auth/v1`,
      headers: { apikey: env.publishableKey },
      fetch: withTimeout(env.gateTimeoutMs),
      persistSession: false,
      autoRefreshToken: false,
      detectSessionInUrl: false,
    }),
);

function withTimeout(milliseconds: number): typeof fetch {
  return (input, init) => fetch(input, { signal: AbortSignal.timeout(milliseconds), ...init });
}

function unauthorized(message: string): SpendgateError {
  return new SpendgateError("unauthorized", message);
}
