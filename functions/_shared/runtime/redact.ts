/** The first `length` characters of another service's words, without what opens an account or names it: nobody's business. */
export function redact(words: string, length: number): string {
  return words
    .slice(0, length)
    .replace(/\b(sk|pk|gsk|xai|key|AIza)[-_]?[\w-]*[\d*][\w*-]{5,}/gi, "…")
    .replace(/\b(org|proj|acct|team|workspace|e2b)[-_][\w-]{4,}/gi, "…");
}
