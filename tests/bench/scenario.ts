import type { Scratch } from "../../scripts/database/scratch.ts";
import type { Effort, Result } from "./rounds.ts";
import type { World } from "./world.ts";

/** What a scenario works with. */
export interface Bench {
  scratch: Scratch;
  /** 1,000 tenants, a user each, quotas of three scopes, all balances open. To be copied, not used. */
  world: World;
  effort: Effort;
}

export type Scenario = (bench: Bench) => Promise<Result[]>;
