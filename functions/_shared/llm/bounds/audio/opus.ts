// A packet of Opus, by RFC 6716, section 3: how long its audio is.

/** Seconds of the longest packet. */
export const LONGEST_PACKET = 0.12;

/** Seconds of the packet that begins at `at`. */
export function packetSeconds(bytes: Uint8Array, at: number): number {
  const [first = 0, second = 0] = bytes.subarray(at, at + 2);
  const frames = [1, 2, 2, second & 63][first & 3] ?? 0;
  return Math.min(frames * frameSeconds(first >> 3), LONGEST_PACKET);
}

function frameSeconds(config: number): number {
  if (config < 12) return [0.01, 0.02, 0.04, 0.06][config & 3] ?? 0;
  if (config < 16) return config & 1 ? 0.02 : 0.01;
  return 0.0025 * 2 ** (config & 3);
}
