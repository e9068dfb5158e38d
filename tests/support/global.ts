// One server for the whole run, and in it one migrated database that each file copies; and a folder for what is made once.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import type { TestProject } from "vitest/node";
import { bootstrap } from "../../scripts/stack/bootstrap.ts";
import { startDatabase } from "../../scripts/stack/database.ts";
import { migrate } from "../../scripts/stack/migrate.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** URL of the server's database `postgres`. */
    serverUrl: string;
    /** Name of the database to copy: migrated, with prices, without anything else. */
    templateDatabase: string;
    /** Folder of tests/support/once.ts. */
    sharedFolder: string;
  }
}

const TEMPLATE = "spendgate_template";

/** Nothing here outlives the run. What waits for the disk is tested on servers of its own (tests/race/settle_crash.test.ts). */
const UNSAFE = { fsync: "off", full_page_writes: "off" };

/** A session keeps the memory of a statement for the next one: handed back and faulted in again, that took an eighth of its time. */
const KEEP_MEMORY = {
  MALLOC_TOP_PAD_: `${2 ** 24}`,
  MALLOC_TRIM_THRESHOLD_: `${2 ** 28}`,
  MALLOC_MMAP_THRESHOLD_: `${2 ** 25}`,
};

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const sharedFolder = await mkdtemp(join(tmpdir(), "spendgate-run-"));
  project.provide("sharedFolder", sharedFolder);
  const removeShared = () => rm(sharedFolder, { recursive: true, force: true });
  try {
    const stopServer = await provideServer(project);
    return async () => {
      await stopServer();
      await removeShared();
    };
  } catch (error) {
    await removeShared();
    throw error;
  }
}

async function provideServer(project: TestProject): Promise<() => Promise<void>> {
  // A server and template of somebody else's: tests/mutants/run.ts breaks one thing in the template.
  const { SPENDGATE_TEST_SERVER: serverUrl, SPENDGATE_TEST_TEMPLATE: template } = process.env;
  if (serverUrl && template) {
    project.provide("serverUrl", serverUrl);
    project.provide("templateDatabase", template);
    return async () => {};
  }
  Object.assign(process.env, KEEP_MEMORY);
  const server = await startDatabase({ settings: UNSAFE });
  try {
    const admin = postgres(server.url, { max: 1 });
    await admin.unsafe(`create database ${TEMPLATE}`);
    await bootstrap(server.urlOf(TEMPLATE));
    await migrate(server.urlOf(TEMPLATE), { seeds: ["./seeds/prices.sql"] });
    // A session on a template would make its copying fail.
    await admin.unsafe(`alter database ${TEMPLATE} with allow_connections false`);
    await admin.end();
  } catch (error) {
    await server.stop();
    throw error;
  }
  project.provide("serverUrl", server.url);
  project.provide("templateDatabase", TEMPLATE);
  return () => server.stop();
}
