// What servers that speak E2B's protocol were seen to do to those who trust them, by switches of the stand-in.

/** How rude the stand-in is until told otherwise. Nothing is set: it behaves as E2B says that E2B does. */
export interface Rudeness {
  /** Connecting sets the time-out of one that runs, instead of only lengthening it. */
  shortensOnConnect?: boolean;
  /** Resuming takes this time-out in seconds, whatever the call says. */
  resumesForSeconds?: number;
  /** A resumed sandbox still tells when it was first started. */
  keepsFirstStart?: boolean;
  /** Connecting answers a sandbox of another id, which it makes. */
  connectsToAnother?: boolean;
  /** The list is not filtered by metadata. */
  ignoresMetadata?: boolean;
  /** The list is not filtered by state. */
  ignoresState?: boolean;
  /** Sandboxes on a page of the list, whatever the call says. */
  pageSize?: number;
  /** Every page of the list names the next one, which is the same. */
  repeatsPageToken?: boolean;
  /** No sandbox runs longer than this in one go: what would end later ends then. */
  maxLifeSeconds?: number;
  /** Its clock: the times that it tells are so many seconds ahead of ours, or behind. */
  clockSkewSeconds?: number;
  /** What it says of each sandbox in place of the facts: `{"cpuCount": -1, "endAt": "soon"}`. */
  facts?: Record<string, unknown>;
  /** What it gives each sandbox, and says so. */
  size?: { cpuCount: number; memoryMB: number };
  /** Killing answers 204, and does nothing. */
  ignoresKill?: boolean;
}

const KINDS: { [name in keyof Rudeness]-?: "boolean" | "number" | "object" } = {
  shortensOnConnect: "boolean",
  resumesForSeconds: "number",
  keepsFirstStart: "boolean",
  connectsToAnother: "boolean",
  ignoresMetadata: "boolean",
  ignoresState: "boolean",
  pageSize: "number",
  repeatsPageToken: "boolean",
  maxLifeSeconds: "number",
  clockSkewSeconds: "number",
  facts: "object",
  size: "object",
  ignoresKill: "boolean",
};

/** @throws Error that names a switch that there is not, or a value that it does not take. */
export function parseRudeness(value: unknown): Rudeness {
  if (typeof value !== "object" || value === null) throw new Error("Rudeness is an object.");
  for (const [name, setting] of Object.entries(value)) {
    const kind = KINDS[name as keyof Rudeness];
    if (kind === undefined) {
      throw new Error(`There is no switch ${name}: ${Object.keys(KINDS).join(", ")}.`);
    }
    if (typeof setting !== kind) throw new Error(`${name} is not a ${kind}.`);
  }
  return value as Rudeness;
}
