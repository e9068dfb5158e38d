// The catalogue: what is in force, what was, and a price that takes over at a moment.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import {
  addPrice,
  type Price,
  type PricePreview,
  previewPrice,
  priceHistoryQuery,
  pricesQuery,
  repriceQuery,
  tenantNamesQuery,
} from "../data/feeds.ts";
import { formatUsd, parseUsd, plainUsd } from "../lib/money.ts";
import { formatMoment } from "../lib/time.ts";
import { useIdentity } from "../shell/identity.ts";
import { ChangeDialog, Dialog } from "../ui/dialog.tsx";
import { Pages } from "../ui/pages.tsx";
import { Badge, Button, Field, Input, Money, Panel, Screen, Search } from "../ui/parts.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, DataTable } from "../ui/table.tsx";

const PAGE = 50;

export function Prices() {
  const { operator_role } = useIdentity();
  const { search = "", page = 1 } = useSearch({ from: "/operator/prices" });
  const navigate = useNavigate({ from: "/operator/prices" });
  const prices = useQuery(pricesQuery(search, (page - 1) * PAGE, PAGE + 1));
  const [shown, setShown] = useState<Price>();
  const [changed, setChanged] = useState<Price>();
  const [repriced, setRepriced] = useState<Price>();

  const columns: Column<Price>[] = [
    {
      id: "product",
      header: "Model or template",
      isTitle: true,
      cell: (price) => (
        <span className="inline-flex flex-wrap items-center gap-2 break-all">
          {price.provider}/{price.product}
          {price.service_tier !== "standard" && <Badge>{price.service_tier}</Badge>}
          {Number(price.tier_from) > 0 && (
            <Badge>above {Number(price.tier_from).toLocaleString("en")} tokens</Badge>
          )}
          {price.tenant_id && <Badge tone="accent">negotiated</Badge>}
        </span>
      ),
    },
    { id: "meter", header: "Meter", cell: ({ meter }) => meter.replaceAll("_", " ") },
    {
      id: "usd",
      header: "Price",
      align: "right",
      cell: (price) => <PerUnits usd={price.usd} size={price.unit_size} />,
    },
    {
      id: "since",
      header: "Since (UTC)",
      cell: ({ effective_from, changes_at }) => (
        <span className="inline-flex flex-wrap gap-2">
          <span className="whitespace-nowrap">{since(effective_from)}</span>
          {changes_at && <Badge tone="warn">changes {formatMoment(changes_at, "UTC")}</Badge>}
        </span>
      ),
    },
    {
      id: "actions",
      header: "",
      cell: (price) => (
        <span className="inline-flex gap-1">
          <Button aria-label={`History of ${nameOf(price)}`} onClick={() => setShown(price)}>
            History
          </Button>
          <Button aria-label={`Reprice ${nameOf(price)}`} onClick={() => setRepriced(price)}>
            Reprice
          </Button>
          {operator_role === "editor" && (
            <Button aria-label={`Change ${nameOf(price)}`} onClick={() => setChanged(price)}>
              Change
            </Button>
          )}
        </span>
      ),
    },
  ];

  return (
    <Screen
      title="Prices"
      note="In force now. A call costs what the prices said when it was reserved; a change is never applied to the past."
      controls={
        <Search
          label="Find a price"
          value={search}
          placeholder="gpt-4o or openai/gpt"
          onValue={(text) => navigate({ search: { search: text || undefined }, replace: true })}
        />
      }
    >
      <Panel>
        <Loaded query={prices} skeleton={10}>
          {(rows) =>
            rows.length > 0 ? (
              <DataTable
                label="Prices"
                columns={columns}
                rows={rows.slice(0, PAGE)}
                rowKey={({ price_id }) => price_id}
              />
            ) : (
              <Empty title="No price is called so">
                <p>A call of a model without a price is refused: unpriced_product.</p>
              </Empty>
            )
          }
        </Loaded>
        <Pages
          label="Pages of prices"
          position={`Page ${page}`}
          previous={
            page > 1 ? () => navigate({ search: (old) => ({ ...old, page: page - 1 }) }) : undefined
          }
          next={
            prices.data && prices.data.length > PAGE
              ? () => navigate({ search: (old) => ({ ...old, page: page + 1 }) })
              : undefined
          }
        />
      </Panel>
      {shown && <History price={shown} onClose={() => setShown(undefined)} />}
      {changed && <ChangePrice price={changed} onClose={() => setChanged(undefined)} />}
      {repriced && <Reprice price={repriced} onClose={() => setRepriced(undefined)} />}
    </Screen>
  );
}

function nameOf(price: Price): string {
  return `${price.provider}/${price.product}, ${price.meter.replaceAll("_", " ")}`;
}

function PerUnits({ usd, size }: { usd: string; size: number }) {
  return (
    <span className="whitespace-nowrap">
      <Money usd={usd} />
      <span className="text-muted"> / {Number(size).toLocaleString("en")}</span>
    </span>
  );
}

/** The catalogue's first prices are dated 2020, for whatever was before. */
function since(at: string): string {
  return at === "-infinity" || at.startsWith("-") || Date.parse(at) <= Date.parse("2020-01-01")
    ? "always"
    : formatMoment(at, "UTC");
}

function History({ price, onClose }: { price: Price; onClose: () => void }) {
  const history = useQuery(priceHistoryQuery(price));
  return (
    <Dialog title={nameOf(price)} description="Newest first. Times in UTC." onClose={onClose}>
      <div className="rounded-md border border-line">
        <Loaded query={history}>
          {(rows) => (
            <DataTable
              label="History"
              rows={rows}
              rowKey={({ id }) => id}
              columns={[
                {
                  id: "from",
                  header: "From",
                  isTitle: true,
                  cell: ({ id, effective_from }) => (
                    <span className="inline-flex flex-wrap gap-2">
                      {since(effective_from)}
                      {id === price.price_id && <Badge tone="good">in force</Badge>}
                      {Date.parse(effective_from) > Date.now() && (
                        <Badge tone="warn">to come</Badge>
                      )}
                    </span>
                  ),
                },
                {
                  id: "usd",
                  header: "Price",
                  align: "right",
                  cell: (version) => <PerUnits usd={version.usd} size={version.unit_size} />,
                },
                {
                  id: "revision",
                  header: "Revision",
                  align: "right",
                  cell: ({ revision }) => revision,
                },
                { id: "note", header: "Note", cell: ({ note }) => note ?? "" },
              ]}
            />
          )}
        </Loaded>
      </div>
    </Dialog>
  );
}

const DAY_MS = 86_400_000;
const minute = (at: number) => new Date(at).toISOString().slice(0, 16);

/** What a correction of earlier calls would book. It is booked in SQL: a slip here would be in everybody's books. */
function Reprice({ price, onClose }: { price: Price; onClose: () => void }) {
  const [from, setFrom] = useState(minute(Date.now() - 30 * DAY_MS));
  const [to, setTo] = useState(minute(Date.now() + DAY_MS));
  const isRange = from !== "" && to !== "" && from < to;
  const lines = useQuery({ ...repriceQuery(price, `${from}Z`, `${to}Z`), enabled: isRange });
  const ids = [...new Set(lines.data?.map(({ tenant_id }) => tenant_id))].sort();
  const names = useQuery(tenantNamesQuery(ids));
  return (
    <Dialog
      title={`Reprice ${price.provider}/${price.product}`}
      description="What calls of this time would cost at the prices that are right now. Nothing is booked."
      onClose={onClose}
    >
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label="From (UTC)">
          {(field) => (
            <Input
              {...field}
              type="datetime-local"
              value={from}
              onChange={({ target }) => setFrom(target.value)}
            />
          )}
        </Field>
        <Field label="Before (UTC)" error={isRange ? undefined : "A moment after the other one."}>
          {(field) => (
            <Input
              {...field}
              type="datetime-local"
              value={to}
              onChange={({ target }) => setTo(target.value)}
            />
          )}
        </Field>
      </div>
      <div className="mt-3 rounded-md border border-line">
        <Loaded query={lines}>
          {(rows) =>
            rows.length > 0 ? (
              <DataTable
                label="Differences"
                rows={rows}
                rowKey={({ tenant_id }) => tenant_id}
                columns={[
                  {
                    id: "tenant",
                    header: "Tenant",
                    isTitle: true,
                    cell: ({ tenant_id }) => names.data?.[tenant_id] ?? tenant_id,
                  },
                  { id: "calls", header: "Calls", align: "right", cell: ({ calls }) => calls },
                  {
                    id: "booked",
                    header: "Booked",
                    align: "right",
                    cell: ({ booked_usd }) => <Money usd={booked_usd} />,
                  },
                  {
                    id: "right",
                    header: "Right",
                    align: "right",
                    cell: ({ right_usd }) => <Money usd={right_usd} />,
                  },
                  {
                    id: "difference",
                    header: "Difference",
                    align: "right",
                    cell: ({ difference_usd }) => <Money usd={difference_usd} />,
                  },
                ]}
              />
            ) : (
              <Empty title="Every call of this time is booked at the right price" />
            )
          }
        </Loaded>
      </div>
      <p className="mt-3 text-sm text-muted">
        To correct a wrong price, insert it with a higher revision, and book with{" "}
        <code>spend.reprice(…, dry_run =&gt; false)</code> in SQL.
      </p>
    </Dialog>
  );
}

function ChangePrice({ price, onClose }: { price: Price; onClose: () => void }) {
  const [usd, setUsd] = useState(plainUsd(price.usd));
  const [from, setFrom] = useState("");
  const [note, setNote] = useState("");
  const { mutateAsync } = useMutation({
    mutationFn: (change: Parameters<typeof addPrice>[1]) => addPrice(price, change),
  });
  const amount = parseUsd(usd);
  const [preview, setPreview] = useState<PricePreview>();
  const example = exampleOf(price);
  const warning = preview && warningAbout(preview);
  const size = Number(price.unit_size).toLocaleString("en");
  const at = from ? new Date(`${from}Z`).toISOString() : null;
  return (
    <ChangeDialog
      title={`Change ${nameOf(price)}`}
      description="Inserts a price that takes over. Calls that are held keep the one that they were held at."
      isComplete={amount !== undefined}
      form={
        <div className="grid gap-3 sm:grid-cols-2">
          <Field
            label={`USD per ${size}`}
            error={amount === undefined ? "An amount such as 2.50." : undefined}
          >
            {(field) => (
              <Input
                {...field}
                inputMode="decimal"
                value={usd}
                onChange={({ target }) => setUsd(target.value)}
              />
            )}
          </Field>
          <Field label="In force from (UTC)" hint="Empty: from now on.">
            {(field) => (
              <Input
                {...field}
                type="datetime-local"
                value={from}
                onChange={({ target }) => setFrom(target.value)}
              />
            )}
          </Field>
          <Field label="Note" hint="Where the price is from." className="sm:col-span-2">
            {(field) => (
              <Input {...field} value={note} onChange={({ target }) => setNote(target.value)} />
            )}
          </Field>
        </div>
      }
      differences={[
        {
          name: `Per ${size}`,
          before: formatUsd(price.usd),
          after: amount && preview ? `${formatUsd(amount)}${changeText(preview)}` : "",
        },
        {
          name: "From",
          before: since(price.effective_from),
          after: at ? `${formatMoment(at, "UTC")} UTC` : "now",
        },
        ...(preview
          ? [
              {
                name: example.name,
                before: <Money usd={preview.before_usd} />,
                after: <Money usd={preview.after_usd} />,
              },
            ]
          : []),
      ]}
      warning={warning}
      action="Insert the price"
      isDanger={warning !== undefined}
      review={async () => setPreview(await previewPrice(price, amount as string, example.units))}
      change={async () => {
        await mutateAsync({ usd: amount as string, effective_from: at, note: note.trim() || null });
      }}
      onClose={onClose}
    />
  );
}

/** Units of the example: a short call, or an hour of what is billed by the second. */
function exampleOf({ resource_type, meter }: Price): { units: number; name: string } {
  if (resource_type === "e2b") return { units: 3600, name: "An hour" };
  return meter.endsWith("_tokens")
    ? { units: 1000, name: "1,000 tokens" }
    : { units: 100, name: "100 units" };
}

function changeText({ times }: PricePreview): string {
  if (times === null || times === 1) return "";
  const percent = (times - 1) * 100;
  return ` (${percent > 0 ? "+" : "−"}${Math.abs(percent).toFixed(Math.abs(percent) < 10 ? 1 : 0)} %)`;
}

/** A price that is ten times another is more often a slip of the point than a price. */
function warningAbout({ times, is_odd }: PricePreview): string | undefined {
  if (!is_odd || times === null) return undefined;
  if (times === 0) return "The new price is nothing: the meter costs $0 from then on.";
  return times > 1
    ? `The new price is ${trimNumber(times)} times the old one. Check the decimal point and the units.`
    : `The old price is ${trimNumber(1 / times)} times the new one. Check the decimal point and the units.`;
}

function trimNumber(value: number): string {
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}
