// A function as the platform runs it: alone in a process of Deno 2.1, from what was deployed, with no other variable than
// those that are given, and nothing of this repository.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { findHostedDeno } from "../../scripts/stack/binaries.ts";
import type { Keys } from "../../scripts/stack/keys.ts";
import { publicKeys } from "../../scripts/stack/user_tokens.ts";

export interface HostedFunction {
  url: string;
  logs: string[];
  stop(): Promise<void>;
}

/** What the platform sets: https://supabase.com/docs/guides/functions/secrets, without the legacy keys. */
export function hostedVariables(url: string, keys: Keys): Record<string, string> {
  return {
    SUPABASE_URL: url,
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishable }),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.secret }),
    ...(keys.signingKey && { SUPABASE_JWKS: JSON.stringify(publicKeys(keys.signingKey)) }),
    SB_REGION: "eu-west-1",
    SB_EXECUTION_ID: crypto.randomUUID(),
    DENO_DEPLOYMENT_ID: "test",
  };
}

export async function startHosted(
  entry: string,
  cwd: string,
  env: Record<string, string>,
): Promise<HostedFunction> {
  const child = spawn(
    await findHostedDeno(),
    [
      ...["serve", "--no-config", "--no-lock", "--no-remote", "--no-npm", "--no-prompt"],
      ...["--allow-net=127.0.0.1", "--allow-env", "--allow-sys=hostname"],
      ...["--host=127.0.0.1", "--port=0", entry],
    ],
    {
      cwd,
      env: { ...env, DENO_DIR: `${cwd}/.deno`, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const logs: string[] = [];
  const exited = new Promise<void>((done) => child.once("close", () => done()));
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        logs.push(line);
        const [, origin] = /Listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(line) ?? [];
        if (origin) resolve(origin);
      });
    }
    child.once("error", reject);
    void exited.then(() => reject(new Error(`${entry} did not start:\n${logs.join("\n")}`)));
  });
  return {
    url,
    logs,
    async stop() {
      child.kill();
      await exited;
    },
  };
}
