#!/usr/bin/env node
// The door of the command. It says plainly that Node is too old, before anything is loaded that needs a newer one.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 12)) {
  console.error(
    `Node ${process.versions.node} is too old for spendgate. Install Node 20.12 or newer (https://nodejs.org).`,
  );
  process.exitCode = 1;
} else {
  const { main } = await import("./main.ts");
  process.exitCode = await main(process.argv.slice(2));
}
