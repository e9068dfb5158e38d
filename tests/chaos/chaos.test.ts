// The short form of `npm run test:chaos`, in a process of its own: what is cut off there ends there.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

it("In three rounds of kills, cuts and lost answers the balances stay right", {
  timeout: 180_000,
}, async () => {
  const run = fileURLToPath(new URL("run.ts", import.meta.url));
  const child = spawn(
    process.execPath,
    ["--import", "tsx", run, "--rounds", "3", "--seconds", "5"],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const code = await new Promise((done) => child.once("close", done));
  // The seed is in it: `npm run test:chaos -- --seed …` draws the same lots.
  expect(code, output).toBe(0);
  expect(output).toMatch(/round 3: .*the balances are right/);
});
