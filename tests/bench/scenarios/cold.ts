// What a function's cold start costs on Deno 2.1: everything at once, as of its sources, and as it is deployed.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { bundleFunctions, deployedFunctions } from "../../../scripts/functions/bundle.ts";
import { findHostedDeno } from "../../../scripts/stack/binaries.ts";
import { PROJECT } from "../../../scripts/stack/paths.ts";
import { type Effort, type Figure, figure, type Result, ratio } from "../rounds.ts";

const OTEL = urlOf("functions/_shared/runtime/telemetry/sdk.ts");
const E2B = "@e2b/code-interpreter";
const PROVIDERS = [
  "@ai-sdk/openai",
  "@ai-sdk/anthropic",
  "@ai-sdk/google",
  "@ai-sdk/openai-compatible",
];

/** What each function would load at its start, were nothing left until it is needed. */
const AT_ONCE: Record<string, string[]> = {
  chat: [OTEL, E2B, ...PROVIDERS],
  openai: [OTEL, ...PROVIDERS],
  anthropic: [OTEL, ...PROVIDERS],
  sandbox: [OTEL, E2B],
  maintenance: [OTEL, E2B],
  alerts: [OTEL],
};

/** Megabytes that a worker may take: a process that imports nothing takes some 55, the platform ends one at 256. */
const MOST_MEGABYTES = 90;

interface Start {
  time: number;
  processor: number;
  memory: number;
}

export async function cold({ rounds }: Effort): Promise<Result[]> {
  const folder = await mkdtemp(join(tmpdir(), "spendgate-cold-"));
  try {
    await bundleFunctions(join(folder, "functions"));
    const results: Result[] = [];
    for (const name of deployedFunctions()) {
      const source = urlOf(`functions/${name}/index.ts`);
      const ways = {
        atOnce: [...(AT_ONCE[name] ?? []), source],
        source: [source],
        bundle: [pathToFileURL(join(folder, "functions", name, "index.js")).href],
      };
      results.push(...(await measure(name, ways, rounds, join(folder, "deno"))));
    }
    return results;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Way = "atOnce" | "source" | "bundle";

async function measure(
  name: string,
  ways: Record<Way, string[]>,
  rounds: number,
  cache: string,
): Promise<Result[]> {
  const starts: Record<Way, Start[]> = { atOnce: [], source: [], bundle: [] };
  // Round -1 compiles TypeScript and finds out what imports what. The platform has done both when a function is deployed.
  for (let round = -1; round < rounds; round++) {
    for (const way of ["atOnce", "source", "bundle"] as const) {
      const start = await importAll(ways[way], cache);
      if (round >= 0) starts[way].push(start);
    }
  }
  const of = (way: Way, what: keyof Start, unit: Figure["unit"]) =>
    figure(
      unit,
      starts[way].map((start) => start[what]),
    );
  const memory = of("bundle", "memory", "bytes");
  const processor = of("bundle", "processor", "ms");
  const atOnce = of("atOnce", "processor", "ms");
  return [
    {
      name: `${name}: processor time of its import, deployed ÷ everything at once`,
      value: ratio(processor, atOnce),
      bound: { atMost: 1 / 3 },
      figures: {
        deployed: processor,
        source: of("source", "processor", "ms"),
        atOnce,
        deployedTime: of("bundle", "time", "ms"),
        sourceTime: of("source", "time", "ms"),
        atOnceTime: of("atOnce", "time", "ms"),
      },
    },
    {
      name: `${name}: megabytes after its import`,
      value: memory.median / 1e6,
      bound: { atMost: MOST_MEGABYTES },
      figures: {
        deployed: memory,
        source: of("source", "memory", "bytes"),
        atOnce: of("atOnce", "memory", "bytes"),
      },
    },
  ];
}

/**
 * In a process of its own, without what Deno keeps of compiled code. `cache` is nobody else's: another version of Deno
 * empties what it finds, and chat would be parsed once more, for 290 ms and 55 MB.
 */
async function importAll(specifiers: string[], cache: string): Promise<Start> {
  const { stdout } = await promisify(execFile)(
    await findHostedDeno(),
    [
      ...["run", "--quiet", "--no-code-cache", "--config", join(PROJECT, "deno.json")],
      ...["--allow-all", join(PROJECT, "tests/bench/import.ts"), ...specifiers],
    ],
    {
      cwd: PROJECT,
      env: {
        ...{ PATH: process.env.PATH, DENO_DIR: cache, DENO_NO_UPDATE_CHECK: "1" },
        SUPABASE_URL: "http://127.0.0.1:9",
        SUPABASE_PUBLISHABLE_KEYS: '{"default":"sb_publishable_1"}',
        SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}',
        ...{ OPENAI_API_KEY: "1", ANTHROPIC_API_KEY: "1", GOOGLE_GENERATIVE_AI_API_KEY: "1" },
        E2B_API_KEY: "1",
      },
    },
  );
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

function urlOf(path: string): string {
  return pathToFileURL(join(PROJECT, path)).href;
}
