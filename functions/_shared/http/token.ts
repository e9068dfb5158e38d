/** The caller's token: as a bearer token, else where Anthropic's clients put their key. */
export function tokenOf({ headers }: Request): string | undefined {
  const bearer = /^Bearer (.+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  return bearer ?? headers.get("x-api-key") ?? undefined;
}
