// npm run test:chaos: an hour of bad luck in some minutes.
//   npm run test:chaos -- --rounds 30 --seconds 6 --seed 1
import { parseArgs } from "node:util";
import { main } from "../../scripts/stack/main.ts";
import { runChaos } from "./chaos.ts";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "30" },
    seconds: { type: "string", default: "6" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
  },
});

// Where connections are cut, the driver (postgres 3.4) writes once more to a socket that is gone, and the local Data
// API forgets promises of queries that fail: neither can be caught elsewhere, and neither is what is tested here.
process.on("uncaughtException", (error: Error & { code?: string }) => {
  const isDriver = /postgres\/src\/connection/.test(error.stack ?? "");
  if (isDriver && (/reading 'write'/.test(error.message) || /^CONNECT/.test(error.code ?? "")))
    return;
  console.error("uncaught:", error);
  process.exit(1);
});
// Nor what it prints of them.
const print = console.error;
console.error = (...args: unknown[]) => {
  if (
    !/CONNECTION_|CONNECT_TIMEOUT|ECONNREFUSED|Introspection failed/.test(
      args.map(String).join(" "),
    )
  )
    print(...args);
};

await main(async () => {
  const faults = await runChaos({
    seed: Number(options.seed),
    rounds: Number(options.rounds),
    seconds: Number(options.seconds),
    report: (line) => console.log(line),
  });
  for (const fault of faults) console.error(fault);
  process.exit(faults.length > 0 ? 1 : 0);
});
