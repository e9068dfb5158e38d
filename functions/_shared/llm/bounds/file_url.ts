// Addresses of files in a request: `data:` URLs with the file in them, or `https:` ones for the provider to fetch.

export interface DataUrl {
  mediaType: string;
  /** Base64. */
  data: string;
}

/** A `data:` URL with a type and a base64 text that can be decoded; undefined for any other. */
export function parseDataUrl(url: string): DataUrl | undefined {
  // Parameters such as ;charset=utf-8 say nothing that is needed.
  const [, mediaType, data] =
    /^data:([\w.+-]+\/[\w.+-]+)(?:;[\w.+-]+=[\w.+-]+)*;base64,([A-Za-z0-9+/]+={0,2})$/.exec(url) ??
    [];
  if (mediaType === undefined || data === undefined) return undefined;
  // A group of four may lack its padding, never three of its four.
  const isWhole = data.endsWith("=") ? data.length % 4 === 0 : data.length % 4 !== 1;
  return isWhole ? { mediaType, data } : undefined;
}

/** An `https:` URL with a host; undefined for any other. */
export function parseHttpsUrl(url: string): URL | undefined {
  if (!URL.canParse(url)) return undefined;
  const parsed = new URL(url);
  return parsed.protocol === "https:" && parsed.hostname !== "" ? parsed : undefined;
}

const IMAGE_TYPES: Record<string, string> = {
  png: "image/png",
  gif: "image/gif",
  webp: "image/webp",
  heic: "image/heic",
  heif: "image/heif",
  avif: "image/avif",
  bmp: "image/bmp",
};

/** The type of an image at an address, by its name; JPEG where that does not say. Some providers want one. */
export function imageTypeOf(url: URL): string {
  const extension = /\.(\w+)$/.exec(url.pathname)?.[1]?.toLowerCase();
  return IMAGE_TYPES[extension ?? ""] ?? "image/jpeg";
}
