// The import rules: money is spent in two places only, and both hold it first; imports go downwards only, and in no circle.
//
// A linter sees the text of an import. This check asks Deno for the module graph, so that an alias in an import
// map, an `npm:` specifier, a re-export and a dynamic import all count as the package that they load.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { PROJECT } from "../stack/paths.ts";

const REGISTRY = "functions/_shared/llm/providers/registry.ts";
const METERED_MODEL = ["functions/_shared/llm/metered_model.ts", REGISTRY];
const SANDBOX_ROOM = "functions/_shared/sandbox/";
const METERED_SANDBOX = [`${SANDBOX_ROOM}e2b.ts`];

/** Names the keys, and reads nothing. */
const SETTINGS = "functions/_shared/runtime/settings.ts";

/** Reads all variables, keys too. */
const ENVIRONMENT = "functions/_shared/runtime/environment.ts";
const ENVIRONMENT_REASON =
  "the environment is read in functions/_shared/runtime/env.ts, provider keys in the metered modules";

interface Rule {
  what: RegExp;
  allowedIn: string[];
  because: string;
}

const MODEL_REASON = `only ${METERED_MODEL.join(" and ")} may reach a model provider`;
const SANDBOX_REASON = `only ${METERED_SANDBOX.join(" and ")} may reach E2B`;

/** Packages by name, and modules of the project by path. */
const IMPORT_RULES: Rule[] = [
  {
    // @ai-sdk/provider and provider-utils are types and helpers: they call nobody.
    what: /^(@ai-sdk\/(?!provider(-utils)?$).+|openai|@anthropic-ai\/.+|@google\/(genai|generative-ai))$/,
    allowedIn: METERED_MODEL,
    because: MODEL_REASON,
  },
  {
    what: /^functions\/_shared\/llm\/providers\/registry\.ts$/,
    allowedIn: METERED_MODEL,
    because: MODEL_REASON,
  },
  { what: /^(e2b|@e2b\/.+)$/, allowedIn: METERED_SANDBOX, because: SANDBOX_REASON },
  {
    what: /^functions\/_shared\/sandbox\/(?!metered_sandbox\.ts$)/,
    allowedIn: [SANDBOX_ROOM],
    because: "the room sandbox is entered through metered_sandbox.ts",
  },
  {
    what: /^functions\/_shared\/runtime\/environment\.ts$/,
    allowedIn: ["functions/_shared/runtime/env.ts", ...METERED_MODEL, ...METERED_SANDBOX],
    because: ENVIRONMENT_REASON,
  },
  { what: /^(https?|jsr|data|blob):/, allowedIn: [], because: "packages come from npm, pinned" },
];

/** The rooms of functions/_shared, lowest first: a module imports from its own and from those below it. */
const LEVELS = [["errors.ts"], ["runtime"], ["database"], ["gate"], ["llm", "sandbox"], ["http"]];

/** What a module could spend with without importing anything. */
const TEXT_RULES: Rule[] = [
  {
    // Resend sends mails, and costs by its own rules.
    what: /(?<!E2B|ALERT_RESEND)_API_KEY\b/,
    allowedIn: [...METERED_MODEL, SETTINGS],
    because: `${MODEL_REASON}, so nobody else reads its key`,
  },
  {
    what: /\bE2B_(API_KEY|ACCESS_TOKEN)\b/,
    allowedIn: [...METERED_SANDBOX, SETTINGS],
    because: `${SANDBOX_REASON}, so nobody else reads its key`,
  },
  {
    // What env.ts hands out has no key in it: it would have to name one.
    what: /\b(Deno\??\.env|process\??\.env|node:process)\b/,
    allowedIn: [ENVIRONMENT],
    because: ENVIRONMENT_REASON,
  },
  {
    what: /api\.openai\.com|api\.anthropic\.com|generativelanguage\.googleapis\.com/,
    allowedIn: METERED_MODEL,
    because: MODEL_REASON,
  },
  { what: /\be2b\.(app|dev)\b/, allowedIn: METERED_SANDBOX, because: SANDBOX_REASON },
  {
    what: /\b(createGateway|import\s*\{[^}]*\bgateway\b[^}]*\}\s*from\s*["']ai["'])/,
    allowedIn: [],
    because: "the gateway of the package ai is a provider that is not metered",
  },
  {
    // The graph cannot follow a name that is only known at run time.
    what: /\b(import\s*\(\s*(?!["'][^"']+["']\s*[,)])|require\s*\(|eval\s*\(|new\s+Function\s*\()/,
    allowedIn: [],
    because: "a computed import hides what it loads",
  },
];

interface Dependency {
  specifier: string;
  code?: { specifier: string; span?: Span };
  type?: { specifier: string; span?: Span };
}
interface Span {
  start: { line: number };
}
interface Graph {
  modules: { specifier: string; dependencies?: Dependency[]; error?: string }[];
}

const all = readdirSync(join(PROJECT, "functions"), { recursive: true, encoding: "utf8" })
  .map((file) => `functions/${file.split(sep).join("/")}`)
  .sort();
const files = all.filter((file) => /\.[cm]?[jt]sx?$/.test(file));
const importMaps = all.filter((file) => /\/(deno\.jsonc?|import_map\.json)$/.test(file));

const graph = moduleGraph(files);
const violations = [
  ...files.flatMap(checkText),
  ...graph.modules.flatMap(checkImports),
  ...circles(graph),
  ...importMaps.flatMap(checkImportMap),
];
for (const violation of violations) console.error(violation);
if (violations.length > 0) {
  console.error(`\nimport rule: ${violations.length} violation(s)`);
  process.exit(1);
}
console.log(`import rule: ${files.length} modules of functions/ hold it`);

function checkText(file: string): string[] {
  const text = readFileSync(join(PROJECT, file), "utf8");
  return TEXT_RULES.flatMap((rule) => {
    const match = rule.what.exec(text);
    if (match === null || isAllowed(rule, file)) return [];
    const line = text.slice(0, match.index).split("\n").length;
    return [`${file}:${line}  ${match[0].trim()}: ${rule.because}`];
  });
}

function checkImports(module: Graph["modules"][number]): string[] {
  const file = projectPath(module.specifier);
  if (file === null || !files.includes(file)) return [];
  if (module.error !== undefined) return [`${file}  ${module.error}`];
  return (module.dependencies ?? []).flatMap((dependency) => {
    const resolved = dependency.code ?? dependency.type;
    const names = [dependency.specifier, resolved?.specifier ?? ""].map(loadedName);
    const above = loadsFromAbove(file, resolved?.specifier ?? "");
    const rule = IMPORT_RULES.find((candidate) =>
      names.some((name) => candidate.what.test(name) && !isAllowed(candidate, file)),
    );
    const line = (resolved?.span?.start.line ?? 0) + 1;
    const reasons = [rule?.because, above].filter((reason) => reason !== undefined);
    return reasons.map((reason) => `${file}:${line}  ${dependency.specifier}: ${reason}`);
  });
}

/** Why a module of the project may not be imported by another one that stands below it; undefined when it may. */
function loadsFromAbove(file: string, specifier: string): string | undefined {
  const [own, other] = [levelOf(file), levelOf(projectPath(specifier) ?? "")];
  return own !== undefined && other !== undefined && other > own
    ? `imports go downwards: ${LEVELS.map((rooms) => rooms.join(", ")).join(" < ")} < functions`
    : undefined;
}

/** Each circle of imports once, by the module in which it was found. */
function circles({ modules }: Graph): string[] {
  const imports = new Map(
    modules.map((module) => [
      projectPath(module.specifier),
      (module.dependencies ?? []).map(({ code, type }) =>
        projectPath((code ?? type)?.specifier ?? ""),
      ),
    ]),
  );
  const done = new Set<string>();
  const walk = (file: string, way: string[]): string[] => {
    if (way.includes(file))
      return [`${file}  imports itself: ${[...way.slice(way.indexOf(file)), file].join(" > ")}`];
    if (done.has(file)) return [];
    const found = (imports.get(file) ?? []).flatMap((next) =>
      next && files.includes(next) ? walk(next, [...way, file]) : [],
    );
    done.add(file);
    return found;
  };
  return files.flatMap((file) => walk(file, []));
}

/** A function's own modules stand above all that they share; undefined for what is not in functions/. */
function levelOf(file: string): number | undefined {
  const [, room] = /^functions\/_shared\/([^/]+)/.exec(file) ?? [];
  if (room === undefined) return file.startsWith("functions/") ? LEVELS.length : undefined;
  const level = LEVELS.findIndex((rooms) => rooms.includes(room));
  if (level < 0) throw new Error(`functions/_shared/${room} is in no level of LEVELS`);
  return level;
}

/** Import maps serve the platform's bundler, and Deno here does not read them: they may pin a name, not change it. */
function checkImportMap(file: string): string[] {
  const map = JSON.parse(readFileSync(join(PROJECT, file), "utf8"));
  return Object.entries<string>(map.imports ?? {}).flatMap(([alias, target]) =>
    loadedName(alias) === loadedName(target)
      ? []
      : [`${file}  "${alias}" is "${target}": an alias hides what it loads`],
  );
}

/** What a specifier loads: a package's name, a module of the project by its path, or the specifier as it is. */
function loadedName(specifier: string): string {
  const fromNodeModules = /\/node_modules\/((?:@[^/]+\/)?[^/]+)(?!.*\/node_modules\/)/.exec(
    specifier,
  );
  const fromNpm = /^npm:\/?((?:@[^/]+\/)?[^/@]+)/.exec(specifier);
  const bare = /^((?:@[^/:]+\/)?[^@./:][^/:]*)(\/|$)/.exec(specifier);
  return fromNodeModules?.[1] ?? fromNpm?.[1] ?? projectPath(specifier) ?? bare?.[1] ?? specifier;
}

function projectPath(specifier: string): string | null {
  if (!specifier.startsWith("file:")) return null;
  const path = relative(PROJECT, fileURLToPath(specifier)).split(sep).join("/");
  return path.startsWith("..") ? null : path;
}

function isAllowed(rule: Rule, file: string): boolean {
  return rule.allowedIn.some((allowed) =>
    allowed.endsWith("/") ? file.startsWith(allowed) : file === allowed,
  );
}

/** Deno's graph of all given modules, with every specifier resolved. */
function moduleGraph(modules: string[]): Graph {
  const folder = mkdtempSync(join(tmpdir(), "spendgate-imports-"));
  try {
    const entry = join(folder, "all.ts");
    const imports = modules.map((file) => `import "${pathToFileURL(join(PROJECT, file)).href}";\n`);
    writeFileSync(entry, imports.join(""));
    const args = ["info", "--json", "--no-remote", "--config", join(PROJECT, "deno.json"), entry];
    const deno = join(PROJECT, "node_modules/.bin/deno");
    return JSON.parse(execFileSync(deno, args, { cwd: PROJECT, maxBuffer: 1 << 28 }).toString());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
