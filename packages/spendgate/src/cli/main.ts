// npx spendgate: reads the arguments; commands.ts and doctor do the work.
import { Command, CommanderError } from "commander";
import { manifest } from "./assets.ts";
import { init, sql, updatePrices, upgrade } from "./commands.ts";
import type { DoctorOptions } from "./doctor/doctor.ts";
import { Failure, USAGE } from "./failure.ts";
import { warn } from "./output.ts";

function commands(): Command {
  const program = new Command("spendgate")
    .description("Exact spend quotas for LLM calls and code sandboxes, in your Supabase project.")
    .version(manifest.version)
    .showHelpAfterError("Run `npx spendgate --help` to see what there is.");
  const changing = (name: string, description: string, parent = program) =>
    parent
      .command(name)
      .description(description)
      .option("--dir <folder>", "the project, or a folder in it", ".")
      .option("--dry-run", "show the plan, and change nothing")
      .option("-y, --yes", "do not ask");

  changing("init", "add Spendgate to a Supabase project, or begin one")
    .option("--functions <names>", "which edge functions, by comma; or none (default: all)")
    .option("--no-prices", "without the price catalogue")
    .option("--no-config", "leave supabase/config.toml alone")
    .option("--force", "replace functions that were changed by hand")
    .action(init);
  changing("upgrade", "take this version's migrations and functions")
    .option("--no-config", "leave supabase/config.toml alone")
    .option("--force", "replace functions that were changed by hand")
    .action(upgrade);
  program
    .command("doctor")
    .description("say what is wrong with a project, and what to do; exit code 1 where something is")
    .option("--dir <folder>", "the project, or a folder in it", ".")
    .option("--db-url <url>", "its database (default: the local one, SUPABASE_DB_URL)")
    .option("--url <url>", "a hosted project instead, by its origin")
    .option("--secret-key <key>", "of the hosted project (SUPABASE_SECRET_KEY)")
    .option("--json", "print the findings as JSON")
    // Loaded when it is wanted: it brings a client of Postgres.
    .action(async (options: DoctorOptions) => {
      const { doctor } = await import("./doctor/doctor.ts");
      await doctor(options);
    });
  program
    .command("sql")
    .description("print the migrations, for other tools")
    .option("--from <version>", "only those after this version")
    .option("--prices", "and the price catalogue")
    .action(sql);
  const prices = program.command("prices").description("the price catalogue");
  changing("update", "write a migration with the prices that the project lacks", prices).action(
    updatePrices,
  );
  return program;
}

/** Runs the command. Answers the exit code: 0; 1, something is wrong; 2, called wrongly; 130, the answer was no. */
export async function main(args: string[]): Promise<number> {
  const program = commands();
  for (const each of [
    program,
    ...program.commands,
    ...program.commands.flatMap((c) => c.commands),
  ]) {
    each.exitOverride();
  }
  try {
    await program.parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    if (error instanceof Failure) {
      warn(error.remedy ? `${error.message} ${error.remedy}` : error.message);
      return error.exitCode;
    }
    const { code, syscall, path } = error as NodeJS.ErrnoException;
    if (syscall === undefined || path === undefined) throw error;
    warn(`${path} cannot be used (${code} at ${syscall}). See to its kind and its permissions.`);
    return 1;
  }
}
