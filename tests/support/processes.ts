// Processes as the system sees them: what a killed stack leaves behind.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import type { DatabaseServer } from "../../scripts/stack/database.ts";

interface Process {
  pid: number;
  parent: number;
  command: string;
}

/** All living processes; zombies are not among them. */
export function processes(): Process[] {
  if (process.platform !== "linux") {
    const list = execFileSync("ps", ["-A", "-ww", "-o", "pid=,ppid=,command="], {
      encoding: "utf8",
    });
    return list.split("\n").flatMap((line) => {
      const [, pid, parent, command] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
      return pid ? [{ pid: Number(pid), parent: Number(parent), command: command ?? "" }] : [];
    });
  }
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      const parent = /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
      return command === "" ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
    } catch {
      return [];
    }
  });
}

/** A process's children, their children, and so on. */
export function descendants(pid: number): Process[] {
  const all = processes();
  const below = (parent: number): Process[] =>
    all.filter((p) => p.parent === parent).flatMap((p) => [p, ...below(p.pid)]);
  return below(pid);
}

export function isAlive(pid: number): boolean {
  return processes().some((p) => p.pid === pid);
}

/** SIGKILL for a database server and every one of its processes, as by a loss of power. Its data stay. */
export async function killDatabase({ port, exited }: DatabaseServer): Promise<void> {
  const main = descendants(process.pid).find(({ command }) => command.includes(` -p ${port} `));
  if (main === undefined) throw new Error(`no server on port ${port} is ours`);
  // The postmaster first: it would tell the others, and start some anew.
  for (const { pid } of [main, ...descendants(main.pid)]) kill(pid);
  await exited;
}

export function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has gone by itself.
  }
}
