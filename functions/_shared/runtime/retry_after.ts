/** Whole seconds of a `Retry-After`: a count, or a date. Null where it says neither. */
export function parseRetryAfter(value: string | null | undefined): number | null {
  if (!value) return null;
  const wait = /^\d/.test(value)
    ? Number.parseFloat(value)
    : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(wait) ? Math.max(0, Math.ceil(wait)) : null;
}
