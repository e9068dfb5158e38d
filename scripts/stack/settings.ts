// Settings of the local stack, and what is wrong with any of them.
import {
  LOCAL_STACK,
  PROVIDERS,
  readSettings,
  SETTING_GROUPS,
  type Settings,
} from "../../functions/_shared/runtime/settings.ts";
import { STACK_DATA } from "./paths.ts";
import { StackError } from "./ports.ts";

/** As the environment has them; what is wrong is its default. */
export function localSettings() {
  const { values } = readSettings(LOCAL_STACK, process.env);
  return {
    data: values.SPENDGATE_DATA ?? STACK_DATA,
    smtpUrl: values.SPENDGATE_SMTP_URL,
    rudeness: values.SPENDGATE_SANDBOX_RUDENESS,
  };
}

/**
 * Checks `.env` and the environment, which has precedence, before anything starts. What may be meant otherwise is reported.
 * @throws StackError with a line for each setting that cannot be read.
 */
export function checkSettings(file: Record<string, string>, report: (line: string) => void): void {
  const set = Object.entries(process.env).filter(([, value]) => value !== "");
  const { wrong, doubtful } = settingProblems({ ...file, ...Object.fromEntries(set) });
  for (const problem of doubtful) report(problem);
  if (wrong.length > 0) throw new StackError(wrong.join("\n"));
}

/** A line for each variable that is wrong, and for each that lacks another one or has a name much like a setting's. */
export function settingProblems(values: Record<string, string | undefined>): {
  wrong: string[];
  doubtful: string[];
} {
  // The stack sets what is Supabase's itself.
  const { Supabase, ...groups } = SETTING_GROUPS;
  const settings: Settings = Object.assign({}, ...Object.values(groups));
  const known = Object.keys({ ...Supabase, ...settings });
  const { problems } = readSettings(settings, values);
  const misspelt = Object.keys(values).flatMap((name) => {
    if (!name.startsWith("SPENDGATE_") || known.includes(name)) return [];
    const meant = known.find((each) => distance(each, name) <= 2);
    return meant ? [`${name}: there is no such setting. Did you mean ${meant}?`] : [];
  });
  return {
    wrong: problems.map(
      ({ variable, problem, allowed }) =>
        `${problem}. Allowed: ${allowed}. Correct ${variable} or remove it.`,
    ),
    doubtful: [...missingKeys(values), ...misspelt],
  };
}

/** Variables with keys that SPENDGATE_PROVIDERS names, and that are not set. */
function missingKeys(values: Record<string, string | undefined>): string[] {
  const { SPENDGATE_PROVIDERS: providers } = readSettings(PROVIDERS, values).values;
  return Object.entries(providers).flatMap(([name, { apiKeyEnv }]) =>
    apiKeyEnv && !values[apiKeyEnv]
      ? [
          `SPENDGATE_PROVIDERS.${name}: ${apiKeyEnv} is not set. Set it, or leave apiKeyEnv out; ` +
            `until then the models of ${name} answer 503.`,
        ]
      : [],
  );
}

/** Letters to add, to leave out or to exchange to make one word of another (Levenshtein). */
function distance(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [row, letter] of [...from].entries()) {
    const line = [row + 1];
    for (const [column, other] of [...to].entries()) {
      const exchanged = (above[column] as number) + (letter === other ? 0 : 1);
      line.push(
        Math.min(exchanged, (above[column + 1] as number) + 1, (line[column] as number) + 1),
      );
    }
    above = line;
  }
  return above[to.length] as number;
}
