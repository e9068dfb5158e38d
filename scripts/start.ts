// npm start: the whole stack on this machine. `npm start -- --fresh` starts without earlier data.
import { PROVIDERS } from "./stack/providers.ts";
import { runUntilStopped } from "./stack/run.ts";
import { type LocalStack, startLocalStack } from "./stack/stack.ts";

const fresh = process.argv.includes("--fresh");

await runUntilStopped(
  (report) => startLocalStack({ fresh, report, onLog: (line) => console.log(`| ${line}`) }),
  (stack) => {
    const rows = describe(stack);
    const width = Math.max(...rows.map(([name]) => name.length));
    const lines = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`);
    const shell = forShell(stack).map((line) => `  ${line}`);
    console.log(["", ...lines, "", "  For a second terminal:", ...shell, ""].join("\n"));
  },
);

/** What the commands of README.md begin with. */
function forShell({ url, keys, ports }: LocalStack): string[] {
  return [`URL=${url}`, `KEY=${keys.publishable}`, `export SUPABASE_DB_PORT=${ports.database}`];
}

function describe({ url, keys, database, providers, sandboxes }: LocalStack): [string, string][] {
  return [
    ["Dashboard", `${url}/dashboard`],
    ["API", url],
    ["Data API", `${url}/rest/v1`],
    ["Auth", `${url}/auth/v1`],
    ["Functions", `${url}/functions/v1`],
    ["Database", database.url],
    ["Publishable key", keys.publishable],
    ["Secret key", keys.secret],
    [
      "Providers",
      providers
        ? `stand-in at ${providers.url} for those without a key (${PROVIDERS.map((p) => `${p.prefix}_API_KEY`).join(", ")})`
        : "the real ones",
    ],
    ...(providers
      ? ([["Their journal", `${providers.url}/__aimock/journal`]] as [string, string][])
      : []),
    ["E2B", sandboxes ? `stand-in at ${sandboxes.url} (E2B_API_KEY is not set)` : "the real one"],
    ...(sandboxes
      ? ([["Its journal", `${sandboxes.url}/__standin/journal`]] as [string, string][])
      : []),
  ];
}
