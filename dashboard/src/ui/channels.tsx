// Where alerts go: the channels of a tenant, or of the platform. Targets and secrets are written, and never shown again.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { DataError } from "../data/client.ts";
import {
  ALERT_KINDS,
  ALERT_SCOPES,
  type AlertKind,
  CHANNEL_KINDS,
  type Channel,
  type ChannelEdit,
  channelsQuery,
  deleteChannel,
  saveChannel,
  TENANT_ALERT_KINDS,
} from "../data/feeds.ts";
import { ALERT_WORDS } from "./alerts.tsx";
import { ChangeDialog, Dialog } from "./dialog.tsx";
import { Badge, Button, Field, Input, Panel, Screen, Select } from "./parts.tsx";
import { Empty, ErrorNote, Loaded } from "./states.tsx";
import { type Column, DataTable } from "./table.tsx";

type ChannelKind = Channel["kind"];
type Scope = (typeof ALERT_SCOPES)[number];

const KIND_NAMES: Record<ChannelKind, string> = {
  slack: "Slack",
  pagerduty: "PagerDuty",
  email: "Email",
  webhook: "Webhook",
};

const TARGETS: Record<ChannelKind, { label: string; placeholder: string; hint: string }> = {
  slack: {
    label: "Incoming webhook URL",
    placeholder: "https://hooks.slack.com/services/…",
    hint: "Slack makes one for a channel: Apps, Incoming Webhooks.",
  },
  pagerduty: {
    label: "Routing key",
    placeholder: "32 letters and digits",
    hint: "Of an Events API v2 integration of a service.",
  },
  email: {
    label: "Addresses",
    placeholder: "ops@example.com, ada@example.com",
    hint: "Several are separated by commas.",
  },
  webhook: {
    label: "URL",
    placeholder: "https://example.com/alerts",
    hint: "Gets a POST for each alert, in the format Standard Webhooks.",
  },
};

const SCOPE_NAMES: Record<Scope, string> = {
  platform: "Limits of the platform",
  tenant: "Limits and spend of tenants",
  user: "Limits of members",
  operator: "The operation",
};
const TENANT_SCOPES = ["tenant", "user"] as const;
const TENANT_SCOPE_NAMES: Partial<Record<Scope, string>> = {
  tenant: "Limits and spend of the tenant",
};

const QUIET: [minutes: number, name: string][] = [
  [0, "each time"],
  [15, "after 15 minutes"],
  [60, "after an hour"],
  [480, "after 8 hours"],
  [1440, "after a day"],
];

/** Fields of the form, as spend.save_alert_channel calls them. */
const FIELDS = ["kind", "name", "target", "secret", "kinds", "scopes", "quiet_minutes"];

function quietName(minutes: number): string {
  return QUIET.find(([value]) => value === minutes)?.[1] ?? `after ${minutes} minutes`;
}

type Asked = { what: "edit"; channel?: Channel } | { what: "pause" | "delete"; channel: Channel };

export function ChannelsScreen({
  tenantId,
  title,
  note,
  mayManage,
}: {
  /** Null: the platform's. */
  tenantId: string | null;
  title: string;
  note: string;
  mayManage: boolean;
}) {
  const channels = useQuery(channelsQuery(tenantId));
  const [asked, setAsked] = useState<Asked>();
  const close = () => setAsked(undefined);
  return (
    <Screen
      title={title}
      note={note}
      controls={
        mayManage && (
          <Button kind="primary" onClick={() => setAsked({ what: "edit" })}>
            <Plus aria-hidden className="size-4" /> Add a channel
          </Button>
        )
      }
    >
      <Panel>
        <Loaded query={channels}>
          {(rows) =>
            rows.length > 0 ? (
              <DataTable
                label="Channels"
                columns={columnsOf(tenantId, mayManage, setAsked)}
                rows={rows}
                rowKey={({ id }) => id}
              />
            ) : (
              <Empty title="No channels yet">
                <p>
                  {tenantId
                    ? "Alerts are listed under Alerts and changes. Add a channel to have them sent, too."
                    : "Alerts are listed under Health. Add a channel to have them sent, too."}
                </p>
              </Empty>
            )
          }
        </Loaded>
      </Panel>
      {asked?.what === "edit" && (
        <EditChannel
          tenantId={tenantId}
          channel={asked.channel}
          names={channels.data?.map(({ name }) => name) ?? []}
          onClose={close}
        />
      )}
      {asked?.what === "pause" && <PauseChannel channel={asked.channel} onClose={close} />}
      {asked?.what === "delete" && <DeleteChannel channel={asked.channel} onClose={close} />}
    </Screen>
  );
}

function columnsOf(
  tenantId: string | null,
  mayManage: boolean,
  ask: (asked: Asked) => void,
): Column<Channel>[] {
  const scopeNames = namesOfScopes(tenantId);
  return [
    {
      id: "name",
      header: "Channel",
      isTitle: true,
      cell: ({ name, is_enabled }) => (
        <span className="inline-flex flex-wrap items-center gap-2">
          <span className="font-medium wrap-anywhere">{name}</span>
          {!is_enabled && <Badge tone="warn">paused</Badge>}
        </span>
      ),
    },
    {
      id: "to",
      header: "Sends to",
      cell: ({ kind, target_hint }) => (
        <>
          {KIND_NAMES[kind]} <span className="text-muted wrap-anywhere">{target_hint}</span>
        </>
      ),
    },
    {
      id: "what",
      header: "Gets",
      cell: ({ kinds, scopes }) => (
        <>
          {kinds ? kinds.map((kind) => ALERT_WORDS[kind].plural).join(", ") : "All alerts"}
          {scopes && (
            <span className="block text-xs text-muted">
              Only: {scopes.map((scope) => scopeNames[scope]).join(", ")}
            </span>
          )}
        </>
      ),
    },
    {
      id: "quiet",
      header: "Repeats",
      cell: ({ quiet_minutes }) => (
        <span className="whitespace-nowrap">{quietName(quiet_minutes)}</span>
      ),
    },
    ...(mayManage
      ? [
          {
            id: "actions",
            header: "",
            align: "right" as const,
            cell: (channel: Channel) => (
              <span className="inline-flex gap-1 whitespace-nowrap">
                <Button
                  aria-label={`Change ${channel.name}`}
                  onClick={() => ask({ what: "edit", channel })}
                >
                  Change
                </Button>
                <Button
                  aria-label={`${channel.is_enabled ? "Pause" : "Resume"} ${channel.name}`}
                  onClick={() => ask({ what: "pause", channel })}
                >
                  {channel.is_enabled ? "Pause" : "Resume"}
                </Button>
                <Button
                  kind="danger"
                  aria-label={`Delete ${channel.name}`}
                  onClick={() => ask({ what: "delete", channel })}
                >
                  Delete
                </Button>
              </span>
            ),
          },
        ]
      : []),
  ];
}

function namesOfScopes(tenantId: string | null): Record<Scope, string> {
  return tenantId ? { ...SCOPE_NAMES, ...TENANT_SCOPE_NAMES } : SCOPE_NAMES;
}

function EditChannel({
  tenantId,
  channel,
  names,
  onClose,
}: {
  tenantId: string | null;
  channel?: Channel;
  /** Names that are taken. */
  names: string[];
  onClose: () => void;
}) {
  const [kind, setKind] = useState<ChannelKind>(channel?.kind ?? "slack");
  const [name, setName] = useState(channel?.name ?? "");
  const [target, setTarget] = useState("");
  const [secret, setSecret] = useState("");
  const [isUnsigned, setUnsigned] = useState(false);
  const [kinds, setKinds] = useState<AlertKind[]>(channel?.kinds ?? []);
  const [scopes, setScopes] = useState<Scope[]>(channel?.scopes ?? []);
  const [quiet, setQuiet] = useState(channel?.quiet_minutes ?? 60);
  const save = useMutation({ mutationFn: saveChannel });
  const isTaken = !channel && names.includes(name.trim());
  const { label, placeholder, hint } = TARGETS[kind];
  const wrong = save.error instanceof DataError ? save.error : undefined;
  const errorAt = (field: string) =>
    wrong?.field === field ? (wrong.hint ?? wrong.message) : undefined;
  const kept = channel && `Kept as it is (${channel.target_hint}) when left empty.`;

  async function submit(event: FormEvent) {
    event.preventDefault();
    const edit: ChannelEdit = {
      tenant_id: tenantId,
      kind,
      name: name.trim(),
      kinds,
      scopes,
      quiet_minutes: quiet,
      ...(target.trim() && { target: target.trim() }),
      ...(kind === "webhook" && isUnsigned && { secret: "" }),
      ...(kind === "webhook" && secret.trim() && !isUnsigned && { secret: secret.trim() }),
    };
    await save.mutateAsync(edit).then(onClose, () => {});
  }

  return (
    <Dialog
      title={channel ? `Change ${channel.name}` : "Add a channel"}
      description="Where it sends to, and its secret, cannot be read again."
      onClose={onClose}
    >
      <form onSubmit={submit} className="space-y-4">
        <div className="grid gap-3 sm:grid-cols-2">
          <Field label="Kind" error={errorAt("kind")}>
            {(field) => (
              <Select
                {...field}
                value={kind}
                disabled={channel !== undefined}
                options={CHANNEL_KINDS.map((value) => [value, KIND_NAMES[value]])}
                onValue={setKind}
              />
            )}
          </Field>
          <Field
            label="Name"
            error={errorAt("name") ?? (isTaken ? "There is a channel of this name." : undefined)}
          >
            {(field) => (
              <Input
                {...field}
                value={name}
                maxLength={100}
                disabled={channel !== undefined}
                required
                onChange={(event) => setName(event.target.value)}
              />
            )}
          </Field>
          <Field
            label={label}
            hint={kept ?? hint}
            error={errorAt("target")}
            className="sm:col-span-2"
          >
            {(field) => (
              <Input
                {...field}
                value={target}
                placeholder={placeholder}
                required={!channel}
                autoComplete="off"
                spellCheck={false}
                onChange={(event) => setTarget(event.target.value)}
              />
            )}
          </Field>
          {kind === "webhook" && (
            <div className="space-y-2 sm:col-span-2">
              <Field
                label="Signing secret"
                hint={
                  channel
                    ? "Kept as it is when left empty."
                    : "Signs each message, so that the receiver knows who sent it: 16 to 200 characters, or whsec_ and base64."
                }
                error={errorAt("secret")}
              >
                {(field) => (
                  <Input
                    {...field}
                    value={secret}
                    disabled={isUnsigned}
                    autoComplete="off"
                    spellCheck={false}
                    onChange={(event) => setSecret(event.target.value)}
                  />
                )}
              </Field>
              {channel && (
                <Checkbox checked={isUnsigned} onChecked={setUnsigned}>
                  Remove the secret: send unsigned
                </Checkbox>
              )}
            </div>
          )}
          <Field
            label="Send the same alert again"
            hint="Of one limit and threshold, or one subject."
            error={errorAt("quiet_minutes")}
          >
            {(field) => (
              <Select
                {...field}
                value={String(quiet)}
                options={[...new Set([...QUIET.map(([minutes]) => minutes), quiet])].map(
                  (minutes) => [String(minutes), quietName(minutes)] as const,
                )}
                onValue={(value) => setQuiet(Number(value))}
              />
            )}
          </Field>
        </div>
        <Choices
          legend="Kinds of alerts"
          none="All, when none is chosen."
          options={(tenantId ? TENANT_ALERT_KINDS : ALERT_KINDS).map(
            (value) => [value, ALERT_WORDS[value].plural] as const,
          )}
          chosen={kinds}
          onChosen={setKinds}
          error={errorAt("kinds")}
        />
        <Choices
          legend="About"
          none="Everything, when none is chosen."
          options={(tenantId ? TENANT_SCOPES : ALERT_SCOPES).map(
            (value) => [value, namesOfScopes(tenantId)[value]] as const,
          )}
          chosen={scopes}
          onChosen={setScopes}
          error={errorAt("scopes")}
        />
        {save.error && !FIELDS.includes(wrong?.field ?? "") && (
          <div className="rounded-md border border-line">
            <ErrorNote error={save.error} />
          </div>
        )}
        <div className="flex flex-wrap justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={save.isPending || isTaken}>
            {channel ? "Save" : "Add the channel"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function Choices<Value extends string>({
  legend,
  none,
  options,
  chosen,
  onChosen,
  error,
}: {
  legend: string;
  /** What none means. */
  none: string;
  options: (readonly [value: Value, label: string])[];
  chosen: Value[];
  onChosen: (chosen: Value[]) => void;
  error?: string;
}) {
  const id = useId();
  return (
    <fieldset aria-describedby={id} className="min-w-0">
      <legend className="text-xs font-medium text-muted">{legend}</legend>
      <p id={id} className={error ? "mb-1 text-xs text-bad" : "mb-1 text-xs text-muted"}>
        {error ?? none}
      </p>
      <div className="grid gap-x-3 gap-y-1 sm:grid-cols-2">
        {options.map(([value, label]) => (
          <Checkbox
            key={value}
            checked={chosen.includes(value)}
            onChecked={(isChosen) =>
              onChosen(isChosen ? [...chosen, value] : chosen.filter((other) => other !== value))
            }
          >
            {label}
          </Checkbox>
        ))}
      </div>
    </fieldset>
  );
}

function Checkbox({
  checked,
  onChecked,
  children,
}: {
  checked: boolean;
  onChecked: (checked: boolean) => void;
  children: ReactNode;
}) {
  return (
    <label className="flex min-h-7 items-center gap-2 text-sm">
      <input
        type="checkbox"
        className="size-4 shrink-0 accent-accent"
        checked={checked}
        onChange={({ target }) => onChecked(target.checked)}
      />
      {children}
    </label>
  );
}

function PauseChannel({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const { mutateAsync } = useMutation({ mutationFn: saveChannel });
  const { tenant_id, kind, name, is_enabled } = channel;
  const words = (isEnabled: boolean) => (isEnabled ? "sends" : "paused");
  return (
    <ChangeDialog
      title={`${is_enabled ? "Pause" : "Resume"} ${name}`}
      description={
        is_enabled
          ? "Nothing is sent to it until it is resumed; what waits for it is dropped."
          : "Alerts that come from now on are sent to it."
      }
      differences={[{ name, before: words(is_enabled), after: words(!is_enabled) }]}
      action={is_enabled ? "Pause the channel" : "Resume the channel"}
      change={async () => {
        await mutateAsync({ tenant_id, kind, name, is_enabled: !is_enabled });
      }}
      onClose={onClose}
    />
  );
}

function DeleteChannel({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const { mutateAsync } = useMutation({ mutationFn: deleteChannel });
  return (
    <ChangeDialog
      title={`Delete ${channel.name}`}
      description="With it goes where it sends to, its secret, and what was sent to it."
      differences={[
        {
          name: channel.name,
          before: `${KIND_NAMES[channel.kind]} ${channel.target_hint}`,
          after: "no channel",
        },
      ]}
      action="Delete the channel"
      isDanger
      change={async () => {
        await mutateAsync(channel.id);
      }}
      onClose={onClose}
    />
  );
}
