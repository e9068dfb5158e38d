// The project's secret keys: a scheduler or a backend calls with one.

import { SpendgateError } from "../errors.ts";
import type { Env } from "../runtime/env.ts";
import { tokenOf } from "./token.ts";

/**
 * Lets pass who sends one of the project's secret keys, as `apikey` or as a bearer token.
 * @throws SpendgateError unauthorized.
 */
export function requireSecretKey(request: Request, env: Env): void {
  for (const sent of [request.headers.get("apikey"), tokenOf(request)]) {
    if (sent && isSecretKey(sent, env)) return;
  }
  throw new SpendgateError("unauthorized", "Send the project's secret key.");
}

/** Whether a secret key is what a request comes with: beside a bearer token `apikey` says nothing of who calls. */
export function sendsSecretKey(request: Request, env: Env): boolean {
  const sent = tokenOf(request) ?? request.headers.get("apikey");
  return sent ? isSecretKey(sent, env) : false;
}

/** Compares with every key, whichever fits. */
function isSecretKey(sent: string, env: Env): boolean {
  return env.secretKeys.map((key) => isSame(sent, key)).includes(true);
}

/** Takes the same time wherever what is sent differs from the key. */
function isSame(sent: string, key: string): boolean {
  let difference = sent.length ^ key.length;
  for (let i = 0; i < key.length; i++) difference |= sent.charCodeAt(i) ^ key.charCodeAt(i);
  return difference === 0;
}
