// The small parts that every screen is made of.
import { Link } from "@tanstack/react-router";
import { type ComponentProps, type ReactNode, useEffect, useId, useState } from "react";
import { exactUsd, formatUsd, type Usd } from "../lib/money.ts";

export function cx(...names: (string | false | null | undefined)[]): string {
  return names.filter(Boolean).join(" ");
}

const BUTTON =
  "inline-flex min-h-8 items-center justify-center gap-1.5 rounded-md border px-3 py-1 text-sm font-medium disabled:opacity-50";

export function Button({
  kind = "plain",
  className,
  ...props
}: ComponentProps<"button"> & { kind?: "plain" | "primary" | "danger" | "quiet" }) {
  const looks = {
    plain: "border-edge/60 bg-panel hover:bg-hover",
    primary: "border-accent bg-accent text-on-accent hover:opacity-90",
    danger: "border-bad bg-panel text-bad hover:bg-bad-soft",
    quiet: "border-transparent text-muted hover:bg-hover hover:text-ink",
  };
  return <button type="button" className={cx(BUTTON, looks[kind], className)} {...props} />;
}

export const linkButton = cx(BUTTON, "border-edge/60 bg-panel hover:bg-hover");

const INPUT =
  "min-h-8 w-full rounded-md border border-edge bg-panel px-2.5 py-1 text-sm text-ink placeholder:text-muted";

/** A label with what it names below, or beside it. */
export function Field({
  label,
  hint,
  error,
  className,
  children,
}: {
  label: string;
  hint?: ReactNode;
  error?: string;
  className?: string;
  children: (props: {
    id: string;
    "aria-describedby"?: string;
    "aria-invalid"?: true;
  }) => ReactNode;
}) {
  const id = useId();
  const note = error ?? hint;
  return (
    <div className={cx("min-w-0", className)}>
      <label htmlFor={id} className="mb-1 block text-xs font-medium text-muted">
        {label}
      </label>
      {children({
        id,
        ...(note && { "aria-describedby": `${id}-note` }),
        ...(error && { "aria-invalid": true as const }),
      })}
      {note && (
        <p id={`${id}-note`} className={cx("mt-1 text-xs", error ? "text-bad" : "text-muted")}>
          {note}
        </p>
      )}
    </div>
  );
}

export function Input({ className, ...props }: ComponentProps<"input">) {
  return <input className={cx(INPUT, className)} {...props} />;
}

export function Select<Value extends string>({
  options,
  value,
  onValue,
  className,
  ...props
}: Omit<ComponentProps<"select">, "value" | "onChange"> & {
  options: readonly (readonly [value: Value, label: string])[];
  value: Value;
  onValue: (value: Value) => void;
}) {
  return (
    <select
      className={cx(INPUT, "pr-7", className)}
      value={value}
      onChange={(event) => onValue(event.target.value as Value)}
      {...props}
    >
      {options.map(([option, label]) => (
        <option key={option} value={option}>
          {label}
        </option>
      ))}
    </select>
  );
}

/** A search field that asks when the typing pauses. */
export function Search({
  label,
  value,
  onValue,
  placeholder,
}: {
  label: string;
  value: string;
  onValue: (value: string) => void;
  placeholder?: string;
}) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => onValue(text), 300);
    return () => clearTimeout(timer);
  }, [text, value, onValue]);
  return (
    <Field label={label} className="w-full sm:w-64">
      {(field) => (
        <Input
          {...field}
          type="search"
          value={text}
          placeholder={placeholder}
          onChange={(event) => setText(event.target.value)}
        />
      )}
    </Field>
  );
}

export function Badge({
  tone = "plain",
  children,
}: {
  tone?: "plain" | "good" | "warn" | "bad" | "accent";
  children: ReactNode;
}) {
  const looks = {
    plain: "bg-hover text-muted",
    good: "bg-good-soft text-good",
    warn: "bg-warn-soft text-warn",
    bad: "bg-bad-soft text-bad",
    accent: "bg-accent-soft text-accent",
  };
  return (
    <span
      className={cx(
        "inline-block whitespace-nowrap rounded px-1.5 py-0.5 text-xs font-medium",
        looks[tone],
      )}
    >
      {children}
    </span>
  );
}

/** An amount as people read it; its title has every decimal. */
export function Money({ usd, className }: { usd: Usd | null; className?: string }) {
  if (usd === null) return <span className="text-muted">–</span>;
  return (
    <span className={cx("whitespace-nowrap", className)} title={exactUsd(usd)}>
      {formatUsd(usd)}
    </span>
  );
}

export function Panel({
  title,
  actions,
  children,
  className,
}: {
  title?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  className?: string;
}) {
  return (
    <section className={cx("rounded-lg border border-line bg-panel", className)}>
      {(title || actions) && (
        <div className="flex min-h-11 flex-wrap items-center justify-between gap-x-4 gap-y-2 border-b border-line px-4 py-2">
          <h2 className="text-sm font-semibold">{title}</h2>
          {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
        </div>
      )}
      {children}
    </section>
  );
}

/** The head of a screen: what it is, about whom, and what can be chosen. */
export function Screen({
  title,
  note,
  controls,
  children,
}: {
  title: string;
  note?: ReactNode;
  controls?: ReactNode;
  children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Spendgate`;
  }, [title]);
  return (
    <div className="space-y-4">
      <div className="flex flex-wrap items-end justify-between gap-x-6 gap-y-3">
        <div className="min-w-0">
          <h1 className="text-xl font-semibold tracking-tight">{title}</h1>
          {note && <p className="mt-0.5 text-sm text-muted">{note}</p>}
        </div>
        {controls && <div className="flex flex-wrap items-end gap-2">{controls}</div>}
      </div>
      {children}
    </div>
  );
}

/** A person's address in a table: cut where there is no room, whole on a card and under the pointer. */
export function PersonName({ name }: { name: string }) {
  return (
    <span className="wrap-anywhere sm:block sm:max-w-48 sm:truncate" title={name}>
      {name}
    </span>
  );
}

export function TenantLink({ id, name }: { id: string; name: string }) {
  return (
    <Link
      to="/tenants/$tenantId"
      params={{ tenantId: id }}
      className="break-words font-medium text-accent sm:whitespace-nowrap underline-offset-2 hover:underline"
    >
      {name}
    </Link>
  );
}
