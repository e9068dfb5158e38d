import type { PostgresError } from "postgres";

/** The server's message with the file, the line and what a DBA needs to find the mistake. */
export function describeSqlError(error: unknown, file: string, text: string): string {
  if (!(error instanceof Error) || error.name !== "PostgresError") return `${file}: ${error}`;
  const { message, code, position, detail, hint, where } = error as PostgresError;
  const line =
    position === undefined ? "" : `:${text.slice(0, Number(position) - 1).split("\n").length}`;
  return [
    `${file}${line}: ${message} (SQLSTATE ${code})`,
    detail && `  detail: ${detail}`,
    hint && `  hint: ${hint}`,
    where && `  context: ${where}`,
  ]
    .filter(Boolean)
    .join("\n");
}
