// The local stack's keys outlive its runs, and its versions.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { keepKeys } from "../../scripts/stack/keys.ts";
import { publicKeys } from "../../scripts/stack/user_tokens.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spendgate-keys-"));
});
afterAll(() => rm(folder, { recursive: true }));

it("Keys of 0.1.0 stay as they are and get a signing key, once; its private part is in no JWKS", async () => {
  const old = { publishable: "sb_publishable_1", secret: "sb_secret_1", jwtSecret: "secret" };
  await writeFile(join(folder, "keys.json"), JSON.stringify(old));
  const keys = await keepKeys(folder);
  expect(keys).toMatchObject({ ...old, signingKey: { kty: "EC", alg: "ES256" } });
  expect(keys.signingKey?.d).toMatch(/^[\w-]{43}$/);
  expect(await keepKeys(folder)).toEqual(keys);
  expect(JSON.parse(await readFile(join(folder, "keys.json"), "utf8"))).toEqual(keys);
  const [published] = keys.signingKey ? publicKeys(keys.signingKey).keys : [];
  expect(published).toMatchObject({ kid: keys.signingKey?.kid, x: keys.signingKey?.x });
  expect(published).not.toHaveProperty("d");
});
