import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateApiKey } from "@supabase/lite";

export interface Keys {
  /** For browsers: `sb_publishable_…`, the role anon. */
  publishable: string;
  /** For servers: `sb_secret_…`, the role service_role. */
  secret: string;
  /** Signs the users' JWTs (HS256). */
  jwtSecret: string;
}

export async function generateKeys(): Promise<Keys> {
  const [publishable, secret] = await Promise.all([
    generateApiKey("publishable"),
    generateApiKey("secret"),
  ]);
  return {
    publishable: publishable.key,
    secret: secret.key,
    jwtSecret: randomBytes(32).toString("base64url"),
  };
}

/** The keys of an earlier run, so that a frontend's configuration and its sessions stay valid. */
export async function keepKeys(folder: string): Promise<Keys> {
  const path = join(folder, "keys.json");
  const kept = await readFile(path, "utf8").catch(() => null);
  if (kept !== null) return JSON.parse(kept) as Keys;
  const keys = await generateKeys();
  await mkdir(folder, { recursive: true });
  await writeFile(path, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
  return keys;
}
