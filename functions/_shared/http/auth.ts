// Who calls.
import {
  createClient,
  isAuthApiError,
  isAuthRetryableFetchError,
  type JWK,
} from "@supabase/supabase-js";
import { z } from "zod";
import { SpendgateError } from "../errors.ts";
import { type Env, perEnv } from "../runtime/env.ts";

const claims = z.object({ sub: z.guid(), role: z.literal("authenticated") });

/**
 * Id of the signed-in user, from the bearer token.
 * @throws SpendgateError unauthorized when there is none or Auth does not vouch for it; quota_unavailable when
 *   Auth does not answer, or is asked too often.
 */
export async function authenticate(request: Request, env: Env): Promise<string> {
  const token = tokenOf(request);
  if (!token) throw unauthorized("Send the user's JWT as a bearer token.");
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
  return user.data.sub;
}

/** The caller's token: as a bearer token, else where Anthropic's clients put their key. */
export function tokenOf({ headers }: Request): string | undefined {
  const bearer = /^Bearer (.+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  return bearer ?? headers.get("x-api-key") ?? undefined;
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
    createClient(env.supabaseUrl, env.publishableKey, {
      auth: { persistSession: false, autoRefreshToken: false },
      global: { fetch: withTimeout(env.gateTimeoutMs) },
    }).auth,
);

function withTimeout(milliseconds: number): typeof fetch {
  return (input, init) => fetch(input, { signal: AbortSignal.timeout(milliseconds), ...init });
}

function unauthorized(message: string): SpendgateError {
  return new SpendgateError("unauthorized", message);
}
