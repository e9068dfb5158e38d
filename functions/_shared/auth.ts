// Who calls, and for which tenant.
import {
  createClient,
  isAuthApiError,
  isAuthRetryableFetchError,
  type SupabaseClient,
} from "@supabase/supabase-js";
import { z } from "zod";
import type { Env } from "./env.ts";
import { SpendgateError } from "./errors.ts";
import type { Gate } from "./gate.ts";
import { invalidRequest } from "./http.ts";

/** Header that names the tenant where a body does not. */
const TENANT_HEADER = "x-spendgate-tenant";

const claims = z.object({ sub: z.uuid(), role: z.literal("authenticated") });

/**
 * Id of the signed-in user, from the bearer token.
 * @throws SpendgateError unauthorized when there is none or Auth does not vouch for it; quota_unavailable when
 *   Auth does not answer, or is asked too often.
 */
export async function authenticate(request: Request, env: Env): Promise<string> {
  const token = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (!token) throw unauthorized("Send the user's JWT as a bearer token.");
  const keyId = keyIdOf(token);
  if (keyId && (unknownKeys.get(keyId) ?? 0) > Date.now()) throw unauthorized(INVALID);
  // Asymmetric tokens are verified here, symmetric ones by asking Auth.
  const { data, error } = await authOf(env)
    .getClaims(token)
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

let auth: SupabaseClient["auth"] | undefined;

/** One client for all requests: it knows nobody's session, and keeps the keys that tokens are verified with. */
function authOf(env: Env): SupabaseClient["auth"] {
  auth ??= createClient(env.supabaseUrl, env.publishableKey, {
    auth: { persistSession: false, autoRefreshToken: false },
    global: { fetch: withTimeout(env.gateTimeoutMs) },
  }).auth;
  return auth;
}

function withTimeout(milliseconds: number): typeof fetch {
  return (input, init) => fetch(input, { signal: AbortSignal.timeout(milliseconds), ...init });
}

/**
 * The tenant that pays: the one that the body or the header names, else the user's only one.
 * Whether the user is a member of a named one is checked by reserve itself.
 * @throws SpendgateError not_a_member of any; invalid_request when there are several.
 */
export async function resolveTenant(
  request: Request,
  gate: Gate,
  userId: string,
  inBody: string | undefined,
): Promise<string> {
  const named = inBody ?? tenantInHeader(request);
  if (named) return named;
  const [only, ...others] = await gate.tenantsOf(userId);
  if (!only) throw new SpendgateError("not_a_member", "You are not a member of any tenant.");
  if (others.length > 0) {
    throw invalidRequest([{ path: "tenantId", message: "You are in several tenants: name one." }]);
  }
  return only;
}

function tenantInHeader(request: Request): string | undefined {
  const named = request.headers.get(TENANT_HEADER);
  if (named === null) return undefined;
  if (!z.uuid().safeParse(named).success) {
    throw invalidRequest([{ path: TENANT_HEADER, message: "Name the tenant by its uuid." }]);
  }
  return named;
}

function unauthorized(message: string): SpendgateError {
  return new SpendgateError("unauthorized", message);
}
