// Paths and the patterns that they are matched with.

/**
 * What stands in `path` where `pattern` has `:name` (a segment) or, at its end, `:name+` (all that follows); undefined
 * when the path is another one, or not well-formed.
 */
export function matchRoute(pattern: string, path: string): Record<string, string> | undefined {
  const names = pattern.split("/");
  const segments = path.split("/");
  const isOpen = pattern.endsWith("+");
  if (isOpen ? segments.length < names.length : segments.length !== names.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, name] of names.entries()) {
    const found =
      isOpen && index === names.length - 1
        ? segments.slice(index)
        : segments.slice(index, index + 1);
    if (name.startsWith(":")) {
      const value = decode(found.join("/"));
      if (!value) return undefined;
      params[name.slice(1).replace(/\+$/, "")] = value;
    } else if (found[0] !== name) {
      return undefined;
    }
  }
  return params;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
