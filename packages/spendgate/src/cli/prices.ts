// The price catalogue, and what of it a project lacks.
import { INSERT_PRICES, insertAliases } from "../../../../scripts/catalogue/prices_sql.ts";
import { pricesText } from "./assets.ts";
import { installedPrices } from "./migrations.ts";
import type { Project } from "./project.ts";

type Value = string | number | null;

/** A price of the catalogue: one meter of a product, from a day on. */
interface Price {
  resourceType: string;
  provider: string;
  product: string;
  meter: string;
  unitSize: number;
  usd: number;
  tierFrom: number;
  day: string;
  note: string;
}

interface Alias {
  provider: string;
  kind: string;
  pattern: string;
  product: string;
}

interface Catalogue {
  /** By what they are prices of. */
  prices: Map<string, Price>;
  aliases: Map<string, Alias>;
}

interface NewPrice extends Price {
  /** USD in the older catalogue, where this replaces a price. */
  was?: number;
  /** The day that the catalogue has for it. */
  catalogueDay: string;
}

export interface PriceUpdate {
  prices: NewPrice[];
  aliases: Alias[];
}

const LLM_NOTE = "@pydantic/genai-prices";

/** What a row is a price of; the day is part of it, because dated prices follow each other. */
function keyOf(price: Price, day = price.day): string {
  const { resourceType, provider, product, meter, tierFrom } = price;
  return [resourceType, provider, product, meter, tierFrom, day].join("\n");
}

/** Adds to `catalogue` the rows of a seed or of an update; later texts replace what earlier ones say. */
function readCatalogue(text: string, catalogue: Catalogue): void {
  for (const [, tuple] of text.matchAll(/^ {2}\((.+)\),?\r?$/gm)) {
    const values = readTuple(tuple ?? "");
    if (values === undefined) continue;
    if (values.length === 4) {
      const [provider, kind, pattern, product] = values.map(String) as [
        string,
        string,
        string,
        string,
      ];
      const alias = { provider, kind, pattern, product };
      catalogue.aliases.set([provider, kind, pattern].join("\n"), alias);
      continue;
    }
    // Seven: of the catalogue's LLM rows. Nine: with type and note. Eleven: of an update, with what was before.
    const full = values.length === 7 ? ["llm", ...values, LLM_NOTE] : values;
    if (full.length !== 9 && full.length !== 11) continue;
    const price = {
      resourceType: String(full[0]),
      provider: String(full[1]),
      product: String(full[2]),
      meter: String(full[3]),
      unitSize: Number(full[4]),
      usd: Number(full[5]),
      tierFrom: Number(full[6]),
      day: String(full[7]),
      note: String(full[8]),
    };
    const day = full.length === 11 ? String(full[10]) : price.day;
    catalogue.prices.set(keyOf(price, day), { ...price, day });
  }
}

/** The values of a row of SQL: texts, numbers and null; undefined for anything else. */
function readTuple(text: string): Value[] | undefined {
  const values: Value[] = [];
  const token = /\s*(?:'((?:[^']|'')*)'|(-?\d+(?:\.\d+)?)|(null))\s*(,|$)/y;
  while (token.lastIndex < text.length) {
    const match = token.exec(text);
    if (match === null) return undefined;
    const [, quoted, number] = match;
    values.push(quoted?.replaceAll("''", "'") ?? (number === undefined ? null : Number(number)));
  }
  return values;
}

/** What the package's catalogue has that the project's prices lack; `today` is the day of what replaces a price. */
export function priceUpdate(project: Project, today: string): PriceUpdate {
  const had: Catalogue = { prices: new Map(), aliases: new Map() };
  const has: Catalogue = { prices: new Map(), aliases: new Map() };
  for (const { text } of installedPrices(project)) readCatalogue(text, had);
  readCatalogue(pricesText(), has);
  const prices = [...has.prices].flatMap(([key, price]): NewPrice[] => {
    const old = had.prices.get(key);
    if (old === undefined) return [{ ...price, catalogueDay: price.day }];
    if (old.usd === price.usd && old.unitSize === price.unitSize) return [];
    // Nobody knows since when: from today on.
    const day = price.day > today ? price.day : today;
    return [{ ...price, day, was: old.usd, catalogueDay: price.day }];
  });
  const aliases = [...has.aliases].filter(([key]) => !had.aliases.has(key)).map(([, row]) => row);
  return { prices, aliases };
}

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** The update as SQL. */
export function updateSql({ prices, aliases }: PriceUpdate): string {
  const rows = prices.map((row) => {
    const { resourceType, provider, product, meter, unitSize, usd, tierFrom, day, note } = row;
    const names = [resourceType, provider, product, meter].map(quoted).join(", ");
    const was = row.was === undefined ? "null" : row.was;
    return `  (${names}, ${unitSize}, ${usd}, ${tierFrom}, ${quoted(day)}, ${quoted(note)}, ${was}, ${quoted(row.catalogueDay)})`;
  });
  const aliasRows = aliases.map(
    ({ provider, kind, pattern, product }) =>
      `  (${[provider, kind, pattern, product].map(quoted).join(", ")})`,
  );
  return `${rows.length > 0 ? pricesSql(rows) : ""}${rows.length > 0 && aliasRows.length > 0 ? "\n" : ""}${aliasRows.length > 0 ? insertAliases(aliasRows) : ""}`;
}

function pricesSql(rows: string[]): string {
  return `-- Prices that are new in the catalogue. A price that replaces another one does so only where the older catalogue's is
-- still in force: what you set yourself stays. Calls that were booked stay booked.
with catalogue (
  resource_type, provider, product, meter, unit_size, usd, tier_from, day, note, was_usd, catalogue_day
) as (
  values
${rows.join(",\n")}
)
${INSERT_PRICES}
and (c.was_usd is null or c.was_usd::numeric = (
  select p.usd from spend.prices as p
  where p.provider = c.provider and p.product = c.product and p.resource_type = c.resource_type
    and p.meter = c.meter and p.tier_from = c.tier_from and p.service_tier = 'standard' and p.tenant_id is null
    and p.effective_from <= now()
  order by p.effective_from desc, p.revision desc
  limit 1
));
`;
}
