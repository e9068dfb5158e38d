// Reading a file's bytes.

/** What is wrong with audio whose length is not sure to be found, in words for whoever sent it. */
export class UnboundedAudio extends Error {
  override readonly name = "UnboundedAudio";
}

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Whether `text`, of ASCII, stands at `at`. */
export function hasText(bytes: Uint8Array, text: string, at: number): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Where `text`, of ASCII, first stands from `from` on; -1 where it does not. */
export function placeOf(bytes: Uint8Array, text: string, from = 0): number {
  const first = text.charCodeAt(0);
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (hasText(bytes, text, at)) return at;
  }
  return -1;
}

/** Where the bytes after an ID3 tag begin, which may stand before MPEG audio and FLAC. */
export function afterTag(bytes: Uint8Array): number {
  if (!hasText(bytes, "ID3", 0)) return 0;
  const size = [6, 7, 8, 9].reduce((sum, at) => sum * 128 + ((bytes[at] ?? 0) & 0x7f), 0);
  const hasFooter = ((bytes[5] ?? 0) & 0x10) !== 0;
  return (hasFooter ? 20 : 10) + size;
}
