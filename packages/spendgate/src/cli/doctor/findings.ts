/** What was looked at, how it is, and what to do. */
export interface Finding {
  /** Stable, for scripts: `config.schemas`, `prices`, … */
  check: string;
  /** wrong: something does not work, or will not. warning: it works, and somebody should look. */
  status: "ok" | "warning" | "wrong";
  message: string;
  remedy?: string;
}

export function ok(check: string, message: string): Finding {
  return { check, status: "ok", message };
}

export function warning(check: string, message: string, remedy: string): Finding {
  return { check, status: "warning", message, remedy };
}

export function wrong(check: string, message: string, remedy: string): Finding {
  return { check, status: "wrong", message, remedy };
}
