// What a mutant is: one thing broken, and the tests that must go red for it.

export interface Mutant {
  /** Kind, then what is broken: `policy: tenants: members read their tenant`. `--only` looks here. */
  name: string;
  change: Change;
  /** Runs of vitest, tried in turn until one is red: see `redTest` in run.ts. */
  tests: string[];
}

export type Change =
  /** SQL on the finished template database. */
  | { sql: string }
  /** A text in a file of supabase/schemas or functions; it must be there, or the run fails. */
  | { file: string; from: string | RegExp; to: string };

/** pgTAP files whose path contains `part`. */
export const pgtap = (part: string) => `pgtap ${part}`;
/** A file of tests/, without `.test.ts`; of it the tests whose name contains `name`. */
export const vitest = (file: string, name?: string) => (name ? `${file} -t ${name}` : file);
