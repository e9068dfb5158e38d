// npm run check:advisors: Supabase's advisors find nothing of level ERROR or WARN in our schemas.
import postgres from "postgres";
import { migrationFiles, onScratchServer, supabase } from "../database/scratch.ts";
import { main } from "../stack/main.ts";
import { StackError } from "../stack/ports.ts";

const OUR_SCHEMAS = ["public", "spend", "spend_private"];

/** Findings that are meant to be, each with its reason. */
const ACCEPTED: Record<string, string> = {
  "function_search_path_mutable spend.run_maintenance":
    "a procedure with SET cannot commit; it is invoker, and names each schema (supabase/tests/security/names.test.sql)",
};

interface Finding {
  name: string;
  title: string;
  level: "ERROR" | "WARN" | "INFO";
  detail: string;
  remediation: string;
  metadata?: { schema?: string; name?: string };
}

await main(async () => {
  const { findings, canary } = await onScratchServer(async (scratch) => {
    await scratch.create("migrated", await migrationFiles());
    const canaryUrl = await scratch.clone("migrated", "canary");
    const migratedUrl = await scratch.clone("migrated", "advised");
    await addOpenTable(canaryUrl);
    const [findings, canary] = await Promise.all([advise(migratedUrl), advise(canaryUrl)]);
    return { findings, canary };
  });

  // The exposure lints are silent when they do not know what is exposed, and silence looks like success.
  if (!canary.some((finding) => finding.name === "rls_disabled_in_public")) {
    throw new StackError(
      "The advisors did not find a table that is open to everybody: they did not look.",
    );
  }
  for (const { level, title, detail, remediation } of findings) {
    console.error(`${level}  ${title}\n  ${detail}\n  ${remediation}\n`);
  }
  if (findings.length > 0) {
    throw new StackError(`advisors: ${findings.length} finding(s) in ${OUR_SCHEMAS.join(", ")}`);
  }
  console.log(`advisors: no finding of level ERROR or WARN in ${OUR_SCHEMAS.join(", ")}`);
});

/** Findings of level ERROR and WARN on our schemas, and those that belong to no schema. */
async function advise(url: string): Promise<Finding[]> {
  const output = await supabase("db", "advisors", `--remote=${url}`, "--level=warn", "-o", "json");
  const findings: Finding[] = JSON.parse(output || "[]");
  return findings.filter(
    ({ name, metadata }) =>
      (metadata?.schema === undefined || OUR_SCHEMAS.includes(metadata.schema)) &&
      !(`${name} ${metadata?.schema}.${metadata?.name}` in ACCEPTED),
  );
}

async function addOpenTable(url: string): Promise<void> {
  const sql = postgres(url, { max: 1 });
  await sql`create table spend.canaries (id bigint primary key)`;
  await sql`grant select on spend.canaries to anon`;
  await sql.end();
}
