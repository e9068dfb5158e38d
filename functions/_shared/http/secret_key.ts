// The project's secret keys: a scheduler or a backend calls with one.

import { SpendgateError } from "../errors.ts";
import { type Env, perEnv } from "../runtime/env.ts";
import { tokenOf } from "./token.ts";

/**
 * Lets pass who sends one of the project's secret keys, as `apikey` or as a bearer token.
 * @throws SpendgateError unauthorized.
 */
export async function requireSecretKey(request: Request, env: Env): Promise<void> {
  for (const sent of [request.headers.get("apikey"), tokenOf(request)]) {
    if (sent && (await isSecretKey(sent, env))) return;
  }
  throw new SpendgateError("unauthorized", "Send the project's secret key.");
}

/** Whether a secret key is what a request comes with: beside a bearer token `apikey` says nothing of who calls. */
export async function sendsSecretKey(request: Request, env: Env): Promise<boolean> {
  const sent = tokenOf(request) ?? request.headers.get("apikey");
  return sent ? isSecretKey(sent, env) : false;
}

const digests = perEnv((env) => Promise.all(env.secretKeys.map(digest)));

/** Compares with every key, whichever fits. */
async function isSecretKey(sent: string, env: Env): Promise<boolean> {
  const [found, keys] = await Promise.all([digest(sent), digests(env)]);
  return keys.map((key) => isSame(found, key)).includes(true);
}

/** Takes the same time wherever two digests differ. */
function isSame(a: Uint8Array, b: Uint8Array): boolean {
  let difference = 0;
  for (let i = 0; i < 32; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 1);
  return difference === 0;
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
