// Prints "<passed> <failed>" from a report of Vitest's JSON reporter. A file that could not be loaded has no tests
// to fail, and counts as one failure.
import { readFileSync } from "node:fs";

const report = JSON.parse(readFileSync(process.argv[2], "utf8"));
const broken = report.testResults.filter(
  (file) =>
    file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed"),
);
console.log(`${report.numPassedTests} ${report.numFailedTests + broken.length}`);
