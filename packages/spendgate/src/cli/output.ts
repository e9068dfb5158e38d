// What the command prints: results to stdout, failures to stderr. Colours only where a person looks, and NO_COLOR is not set.
import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

function hasColours(stream: NodeJS.WriteStream): boolean {
  if (process.env.NO_COLOR) return false;
  return process.env.FORCE_COLOR ? process.env.FORCE_COLOR !== "0" : stream.isTTY === true;
}

export function paint(style: Style, text: string): string {
  return hasColours(process.stdout) ? styleText(style, text, { validateStream: false }) : text;
}

export function say(...lines: string[]): void {
  for (const line of lines) process.stdout.write(`${line}\n`);
}

/** To stderr: what is not a result. */
export function warn(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Whether somebody is there to answer. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true && !process.env.CI;
}
