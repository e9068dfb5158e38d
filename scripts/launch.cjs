// Runs a script of this folder (`node scripts/launch.cjs start`), or only checks what all need. Written for old versions of
// Node: one that is too old, or a clone without node_modules, gets one line with the remedy.
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");

const root = path.dirname(__dirname);
const name = process.argv[2];

const problem = problemOfInstallation();
if (problem) fail(problem);
else if (name) run(path.join(__dirname, `${name}.ts`));

function problemOfInstallation() {
  const { engines } = require("../package.json");
  const wanted = /[\d.]+/.exec(engines.node)[0];
  if (isOlder(process.versions.node, wanted)) {
    return `Node ${process.versions.node} is too old. Install Node ${wanted} or newer (https://nodejs.org), then run \`npm ci\`.`;
  }
  if (process.platform === "win32") {
    return "This runs on Linux and macOS. On Windows, clone and start it within WSL (https://aka.ms/wsl).";
  }
  if (!fs.existsSync(path.join(root, "node_modules/tsx/package.json"))) {
    return "The packages are not installed. Run `npm ci`.";
  }
}

function isOlder(version, wanted) {
  const [have, need] = [version, wanted].map((text) => text.split(".").map(Number));
  return have[0] < need[0] || (have[0] === need[0] && have[1] < need[1]);
}

async function run(script) {
  process.argv.splice(1, 2, script);
  try {
    await import("tsx");
    await import(pathToFileURL(script).href);
  } catch (error) {
    const [, missing] = /^Cannot find package '([^']+)'/.exec(error.message) || [];
    if (!missing) throw error;
    const isPath = path.isAbsolute(missing);
    fail(`${isPath ? path.relative(root, missing) : missing} is not installed. Run \`npm ci\`.`);
  }
}

function fail(message) {
  console.error(message);
  process.exitCode = 1;
}
