// The variables of the process. For env.ts, and the two modules that read the keys of those who are paid; a check in CI says so.

interface Runtime {
  Deno?: { env: { toObject(): Record<string, string> } };
  process?: { env: Record<string, string | undefined> };
}

/** Deno's, which edge functions have; Node's and Bun's where the library runs there. */
export function environment(): Record<string, string | undefined> {
  const { Deno, process } = globalThis as Runtime;
  return Deno?.env.toObject() ?? process?.env ?? {};
}
