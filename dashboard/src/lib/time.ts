// Times in the zone of the tenant, whose days and months its limits go by; of the platform: UTC.

/** A calendar day, "2026-11-26". */
export type Day = string;

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zone} ${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone });
    formats.set(key, found);
  }
  return found;
}

export function formatMoment(at: string, zone: string): string {
  return format(zone, {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  }).format(new Date(at));
}

export function formatTime(at: string | number, zone?: string): string {
  return new Intl.DateTimeFormat("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    ...(zone && { timeZone: zone }),
  }).format(new Date(at));
}

export type Bucket = "hour" | "day" | "week" | "month";

/** The name of the bucket that begins then. */
export function formatBucket(at: string, bucket: Bucket, zone: string): string {
  const options: Record<Bucket, Intl.DateTimeFormatOptions> = {
    hour: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
    day: { day: "numeric", month: "short" },
    week: { day: "numeric", month: "short" },
    month: { month: "short", year: "numeric" },
  };
  return format(zone, options[bucket]).format(new Date(at));
}

export function formatDay(day: Day): string {
  return format("UTC", { day: "numeric", month: "short", year: "numeric" }).format(
    new Date(`${day}T00:00:00Z`),
  );
}

/** Today's date where the tenant is. */
export function today(zone: string, now = Date.now()): Day {
  return new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(now);
}

export function addDays(day: Day, days: number): Day {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
}

export function daysBetween(from: Day, to: Day): number {
  return (Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / 86_400_000;
}

/** "in 4 days", "2 hours ago"; "now" within a minute. */
export function fromNow(at: string, now = Date.now()): string {
  const seconds = (Date.parse(at) - now) / 1000;
  const size = Math.abs(seconds);
  const [unit, length]: [Intl.RelativeTimeFormatUnit, number] =
    size < 3600 ? ["minute", 60] : size < 86_400 * 2 ? ["hour", 3600] : ["day", 86_400];
  const amount = Math.trunc(seconds / length);
  if (amount === 0) return seconds < 0 ? "just now" : "now";
  return new Intl.RelativeTimeFormat("en").format(amount, unit);
}
