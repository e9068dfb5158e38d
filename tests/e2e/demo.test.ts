// npm run demo, on a stack that it starts itself.
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { freePort } from "../../scripts/stack/ports.ts";

it("npm run demo shows an answer, its cost, a 429 for the first tenant and a 200 for the second", {
  timeout: 90_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "spendgate-demo-"));
  await chmod(folder, 0o755); // mkdtemp keeps others out; a server started by root runs as another user.
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--import", "tsx", "scripts/demo.ts"],
      {
        cwd: PROJECT,
        env: {
          ...process.env,
          SPENDGATE_DATA: folder,
          SPENDGATE_API_PORT: `${await freePort()}`,
          SPENDGATE_DB_PORT: `${await freePort()}`,
          SPENDGATE_PROVIDERS_PORT: `${await freePort()}`,
          SPENDGATE_SANDBOXES_PORT: `${await freePort()}`,
        },
      },
    );

    expect(stdout).toMatch(/held \$0\.00\d+, booked \$0\.00\d+/);
    expect(stdout).toMatch(/[1-9]\d* calls were admitted, the next was not/);
    expect(stdout).toContain("The refusal: 429");
    expect(stdout).toContain('"error": "quota_exceeded"');
    expect(stdout).toContain("200: You asked");
    expect(stdout).toContain("Balances that differ from the ledger: 0");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
