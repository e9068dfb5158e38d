// Base64 of large data: what takes a text or a list of all bytes at once takes many times their memory.

/** Of as many bytes as become whole groups of four characters, and as a call may have arguments. */
const STEP = 3 * 8192;

export function toBase64(data: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < data.length; at += STEP) {
    parts.push(btoa(String.fromCharCode(...data.subarray(at, at + STEP))));
  }
  return parts.join("");
}

/** @throws DOMException for what is not base64. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
