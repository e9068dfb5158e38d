// Structured logs: one JSON object a line. Never prompts, answers, tokens or keys.

type Level = "info" | "warn" | "error";
export type LogFields = Record<string, string | number | boolean | null | undefined>;

export function log(level: Level, event: string, fields: LogFields = {}): void {
  console[level](JSON.stringify({ time: new Date().toISOString(), level, event, ...fields }));
}

/** What a log may say of an unknown error: its message, not its stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
