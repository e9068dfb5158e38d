// npm run docs:settings: writes the tables of docs/reference/settings.md, and .env.example, from the table of settings.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SETTING_GROUPS, type Setting } from "../../functions/_shared/runtime/settings.ts";
import { isCommand } from "../stack/main.ts";
import { PROJECT } from "../stack/paths.ts";

/** Groups that nobody sets in `.env`. */
const NOT_IN_ENV = ["Supabase", "Local stack"];

/** The page with the table of each group between its marks. @throws Error for a group without marks. */
export function settingsReference(page: string): string {
  return Object.entries(SETTING_GROUPS).reduce((text, [group, settings]) => {
    const marks = new RegExp(`(<!-- settings: ${group} -->\n)[^]*?(\n<!-- end -->)`);
    if (!marks.test(text)) throw new Error(`settings.md has no <!-- settings: ${group} -->`);
    const rows = Object.entries(settings).map(([name, setting]) => row(name, setting));
    const table = [
      "| variable | default | allowed | meaning |",
      "| --- | --- | --- | --- |",
      ...rows,
    ];
    return text.replace(marks, (_, start, end) => start + table.join("\n") + end);
  }, page);
}

export function envExample(): string {
  const groups = Object.entries(SETTING_GROUPS).filter(([group]) => !NOT_IN_ENV.includes(group));
  return [
    "# Settings of the functions for `npm start`. Copy this file to .env, and uncomment what you set.",
    "# docs/reference/settings.md explains each. The stack sets SUPABASE_URL and the keys itself.",
    "# Written by npm run docs:settings.",
    ...groups.flatMap(([group, settings]) => [
      "",
      `# ${group}`,
      ...Object.entries(settings).map(([name, setting]) => `#${name}=${defaultText(setting)}`),
    ]),
    "",
  ].join("\n");
}

function row(name: string, { allowed, meaning, ...setting }: Setting): string {
  const value = defaultText(setting);
  const shown = setting.defaultIs ?? (/^[\d.]*$/.test(value) ? value : `\`${value}\``);
  return `| \`${name}\` | ${shown}${shown && " "}| ${allowed} | ${meaning} |`;
}

/** The default as the text of the variable; empty where it has none of its own. */
function defaultText({ default: value }: Pick<Setting, "default">): string {
  if (value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export const settingsPath = join(PROJECT, "docs/reference/settings.md");
export const envExamplePath = join(PROJECT, ".env.example");

if (isCommand(import.meta)) {
  await writeFile(settingsPath, settingsReference(await readFile(settingsPath, "utf8")));
  await writeFile(envExamplePath, envExample());
  console.log("wrote docs/reference/settings.md and .env.example");
}
