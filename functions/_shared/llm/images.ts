// Images in answers.
import { toBase64 as bytesToBase64 } from "../runtime/base64.ts";

/** Where a compatible provider puts images into its own answer, whole or a chunk of it: in no part of the AI SDK's. */
export function rawImageUrls(body: unknown): string[] {
  const [choice] = (body as { choices?: { message?: Raw; delta?: Raw }[] } | null)?.choices ?? [];
  const images = (choice?.message ?? choice?.delta)?.images;
  if (!Array.isArray(images)) return [];
  return images.flatMap((image) =>
    typeof image?.image_url?.url === "string" ? [image.image_url.url as string] : [],
  );
}
type Raw = { images?: unknown } | null;

export function toBase64(data: string | Uint8Array): string {
  return typeof data === "string" ? data : bytesToBase64(data);
}
