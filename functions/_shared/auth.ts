// Who calls, and for which tenant.
import { createClient } from "@supabase/supabase-js";
import { z } from "zod";
import type { Env } from "./env.ts";
import { SpendgateError } from "./errors.ts";
import type { Gate } from "./gate.ts";
import { invalidRequest } from "./http.ts";

const claims = z.object({ sub: z.uuid(), role: z.literal("authenticated") });

/**
 * Id of the signed-in user, from the bearer token.
 * @throws SpendgateError unauthorized when there is none or Auth does not vouch for it.
 */
export async function authenticate(request: Request, env: Env): Promise<string> {
  const token = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (!token) throw unauthorized("Send the user's JWT as a bearer token.");
  const supabase = createClient(env.supabaseUrl, env.publishableKey, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  // Asymmetric tokens are verified here, symmetric ones by asking Auth.
  const { data, error } = await supabase.auth
    .getClaims(token)
    .catch((error) => ({ data: null, error }));
  const user = claims.safeParse(data?.claims);
  if (error || !user.success) throw unauthorized("The JWT is not valid.");
  return user.data.sub;
}

/**
 * The tenant that pays: the one that the request names, else the user's only one.
 * Whether the user is a member of a named one is checked by reserve itself.
 * @throws SpendgateError not_a_member of any; invalid_request when there are several.
 */
export async function resolveTenant(
  gate: Gate,
  userId: string,
  named: string | undefined,
): Promise<string> {
  if (named) return named;
  const [only, ...others] = await gate.tenantsOf(userId);
  if (!only) throw new SpendgateError("not_a_member", "You are not a member of any tenant.");
  if (others.length > 0) {
    throw invalidRequest([{ path: "tenantId", message: "You are in several tenants: name one." }]);
  }
  return only;
}

function unauthorized(message: string): SpendgateError {
  return new SpendgateError("unauthorized", message);
}
