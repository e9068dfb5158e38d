import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateApiKey } from "@supabase/lite";
import type { JWK } from "jose";
import { generateSigningKey } from "./user_tokens.ts";

export interface Keys {
  /** For browsers: `sb_publishable_…`, the role anon. */
  publishable: string;
  /** For servers: `sb_secret_…`, the role service_role. */
  secret: string;
  /** Signs the local Auth's own JWTs (HS256). */
  jwtSecret: string;
  /** Signs users' JWTs (ES256). Without it they get Auth's own, as in projects that have only the legacy secret. */
  signingKey?: JWK;
}

export async function generateKeys(): Promise<Keys> {
  const [publishable, secret, signingKey] = await Promise.all([
    generateApiKey("publishable"),
    generateApiKey("secret"),
    generateSigningKey(),
  ]);
  return {
    publishable: publishable.key,
    secret: secret.key,
    jwtSecret: randomBytes(32).toString("base64url"),
    signingKey,
  };
}

/** The keys of an earlier run, so that a frontend's configuration and its sessions stay valid. */
export async function keepKeys(folder: string): Promise<Keys> {
  const path = join(folder, "keys.json");
  const kept = await readFile(path, "utf8").catch(() => null);
  const before = kept === null ? undefined : (JSON.parse(kept) as Keys);
  if (before?.signingKey) return before;
  const keys = { ...(await generateKeys()), ...before };
  await mkdir(folder, { recursive: true });
  await writeFile(path, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
  return keys;
}
