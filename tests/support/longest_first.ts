// The order of test files: what takes long begins first, so that nothing is left to run alone at the end; and files of one
// project follow each other, so that a process can go on with the next one.
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Above half a minute. Vitest goes by the time of earlier runs, of which a fresh clone has none. */
const LONG = [
  "e2e/local_stack",
  "e2e/sandbox_faults",
  "dashboard/screens",
  "dashboard/roles",
  "race/property",
  "isolation/temp_schema",
  "fuzz/answers",
  "pgtap",
  "cli/doctor",
  "e2e/first_minutes",
  "cli/entries",
  "cron/schedules",
  "dashboard/alerts",
  "race/deadlock",
  "race/shapes",
  "race/batches",
  "e2e/llm_endings",
  "cli/push",
  "e2e/media",
  "e2e/metrics",
  "scale/unfiltered",
  "scale/plans",
  "e2e/sandbox_property",
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const placed = (await super.sort(files)).map((file) => ({ file, place: placeOf(file) }));
    return placed.sort((a, b) => a.place - b.place).map(({ file }) => file);
  }
}

function placeOf({ moduleId, project }: TestSpecification): number {
  const at = LONG.findIndex((name) => moduleId.endsWith(`/tests/${name}.test.ts`));
  return at < 0 ? LONG.length + project.vitest.projects.indexOf(project) : at;
}
