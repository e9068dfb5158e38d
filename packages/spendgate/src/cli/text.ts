import { createHash } from "node:crypto";

/** SHA-256 of a text, with the line ends that it was published with: Git may have changed them. */
export function sha256(text: string): string {
  return createHash("sha256").update(text.replaceAll("\r\n", "\n")).digest("hex");
}

/** Negative where `a` is the older version. Of two versions that are alike in numbers, a pre-release is the older one. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => {
    const [numbers = "", pre] = version.split("-", 2);
    return { numbers: numbers.split(".").map(Number), pre };
  });
  for (let i = 0; i < 3; i++) {
    const difference = (left?.numbers[i] ?? 0) - (right?.numbers[i] ?? 0);
    if (difference !== 0) return difference;
  }
  if (left?.pre === right?.pre) return 0;
  if (left?.pre === undefined) return 1;
  if (right?.pre === undefined) return -1;
  return left.pre.localeCompare(right.pre, "en", { numeric: true });
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
