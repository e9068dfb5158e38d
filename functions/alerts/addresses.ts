// Where a tenant's channel may not lead: into the network that this code runs in.
import { lookup } from "node:dns/promises";
import ipaddr from "ipaddr.js";
import { DeliveryFailure } from "./failure.ts";

/** Names of our own network, whatever they resolve to. */
const INSIDE = /(^|\.)(localhost|local|internal|intranet|lan|home\.arpa)$/;

/** A public address that clouds answer from inside: Azure's. */
const PUBLIC_BUT_INSIDE = ["168.63.129.16"];

const GLOBAL_UNICAST = ipaddr.parseCIDR("2000::/3") as [ipaddr.IPv6, number];

/** Whether an address is one that everybody on the Internet would reach. */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  // ::ffff:10.0.0.1 is 10.0.0.1.
  const parsed = ipaddr.process(address);
  if (parsed.range() !== "unicast" || PUBLIC_BUT_INSIDE.includes(parsed.toString())) return false;
  return parsed.kind() === "ipv4" || (parsed as ipaddr.IPv6).match(GLOBAL_UNICAST);
}

export type Resolve = (host: string) => Promise<string[]>;

const resolveAll: Resolve = async (host) => {
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => address);
};

/** A URL, and the addresses that were looked up and checked for it: nobody looks them up again. */
export interface CheckedTarget {
  url: URL;
  addresses: string[];
}

/**
 * Looks up where a tenant's URL leads. One private address among several is enough to refuse it. The URL class has read
 * 0x7f.1 and 2130706433 as 127.0.0.1 by then.
 * @throws DeliveryFailure
 */
export async function checkTarget(
  target: string,
  allowPrivate: boolean,
  resolve: Resolve = resolveAll,
): Promise<CheckedTarget> {
  const url = URL.parse(target);
  if (url === null || !["https:", "http:"].includes(url.protocol)) throw refused("is no HTTPS URL");
  if (url.username || url.password) throw refused("has a name or a password in it");
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (!allowPrivate) {
    if (url.protocol !== "https:") throw refused("is no HTTPS URL");
    if (INSIDE.test(host)) throw refused("leads to a private address");
  }
  const addresses = ipaddr.isValid(host) ? [host] : await found(host, resolve);
  if (!allowPrivate && !addresses.every(isPublic)) throw refused("leads to a private address");
  return { url, addresses };
}

async function found(host: string, resolve: Resolve): Promise<string[]> {
  const addresses = await resolve(host).catch(() => []);
  if (addresses.length === 0) {
    throw new DeliveryFailure("the channel's host was not found", { code: "host_not_found" });
  }
  return addresses;
}

function refused(why: string): DeliveryFailure {
  return new DeliveryFailure(`the channel's address ${why}`, { code: "target_refused" });
}
