import { expect, it } from "vitest";
import { demandTexts } from "./change.ts";
import { functionMutants } from "./functions.ts";
import { guardMutants } from "./guards.ts";
import { lockMutants } from "./locks.ts";

it("every text that a mutant changes is there, once: `npm run test:mutants` can run", async () => {
  const mutants = [...guardMutants, ...functionMutants, ...(await lockMutants())];
  expect(mutants.length).toBeGreaterThan(100);
  await demandTexts(mutants);
});
