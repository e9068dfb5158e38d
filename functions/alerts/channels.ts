// The channels that the environment names, and the way to each kind of channel.
import type { Env } from "../_shared/runtime/env.ts";
import { expectRight, notConfigured } from "../_shared/runtime/env.ts";
import { ALERTS_AND_TELEMETRY, type AlertKind } from "../_shared/runtime/settings.ts";
import type { ChannelKind, Delivery } from "./alert.ts";
import { canMail, sendMail, toMail } from "./email.ts";
import { DeliveryFailure } from "./failure.ts";
import { type Message, toMessage } from "./message.ts";
import { toPagerDuty } from "./pagerduty.ts";
import { post } from "./post.ts";
import { toSlack } from "./slack.ts";
import { toWebhook } from "./webhook.ts";

/** A channel of the platform by environment, as claim_deliveries is told of it. Its name is its kind. */
export interface EnvChannel {
  name: ChannelKind;
  kind: ChannelKind;
  kinds: AlertKind[] | null;
  [more: string]: string | string[] | null;
}

const SETTINGS = Object.keys(ALERTS_AND_TELEMETRY).filter((name) =>
  /^(ALERT_|DASHBOARD_URL$)/.test(name),
);

/**
 * Channels that have an address in the environment.
 * @throws SpendgateError not_configured while a setting of alerts is wrong, or lacks its other half: alerts that were handed
 *   to the other channels would never come to that one.
 */
export function envChannels(env: Env): EnvChannel[] {
  expectRight(env.problems, SETTINGS);
  if (env.alertEmailTo !== undefined && !canMail(env)) {
    throw notConfigured(
      "ALERT_EMAIL_TO needs ALERT_EMAIL_FROM, and ALERT_SMTP_URL or ALERT_RESEND_API_KEY.",
    );
  }
  const addresses: Record<ChannelKind, unknown> = {
    webhook: env.alertWebhookUrl,
    slack: env.alertSlackUrl,
    pagerduty: env.pagerDutyRoutingKey,
    email: env.alertEmailTo,
  };
  return Object.entries(addresses)
    .filter(([, address]) => address !== undefined)
    .map(([name]) => ({
      name: name as ChannelKind,
      kind: name as ChannelKind,
      kinds: env.alertKinds ?? null,
    }));
}

/** @throws DeliveryFailure when the channel does not take it. */
export async function send(delivery: Delivery, env: Env): Promise<void> {
  const message = toMessage(delivery.alert, env.dashboardUrl);
  if (delivery.event === "resolve" && delivery.channel_kind !== "pagerduty") {
    throw new DeliveryFailure("only PagerDuty resolves", { isFinal: true });
  }
  await WAYS[delivery.channel_kind](delivery, message, env);
}

type Way = (delivery: Delivery, message: Message, env: Env) => Promise<void>;

const WAYS: Record<ChannelKind, Way> = {
  slack: (delivery, message, env) =>
    post(
      "Slack",
      { url: targetOf(delivery, env.alertSlackUrl), body: toSlack(message, footer(delivery)) },
      trustOf(delivery, env),
    ),

  pagerduty: (delivery, message, env) =>
    post(
      "PagerDuty",
      {
        url: `${env.pagerDutyUrl.replace(/\/+$/, "")}/v2/enqueue`,
        body: toPagerDuty(
          delivery,
          message,
          targetOf(delivery, env.pagerDutyRoutingKey),
          env.project,
        ),
      },
      // The tenant's is the key, the address is the operator's.
      { isTenants: false, allowPrivate: true },
    ),

  email: (delivery, message, env) => {
    const to = targetOf(delivery, env.alertEmailTo?.join(","));
    return sendMail(
      toMail(message, footer(delivery)),
      to.split(",").map((address) => address.trim()),
      { id: delivery.idempotency_key, createdAt: delivery.alert.created_at },
      env,
    );
  },

  webhook: (delivery, message, env) => {
    const secret =
      delivery.channel_id === null ? env.alertWebhookSecret : (delivery.secret ?? undefined);
    return post(
      "the webhook",
      {
        url: targetOf(delivery, env.alertWebhookUrl),
        ...toWebhook(delivery.alert, message, delivery.idempotency_key, secret),
      },
      trustOf(delivery, env),
    );
  },
};

/** A row's own, else the environment's. */
function targetOf({ channel_id, target }: Delivery, ofEnv: string | undefined): string {
  const found = channel_id === null ? ofEnv : target;
  if (!found) throw new DeliveryFailure("the channel has no address", { code: "no_target" });
  return found;
}

const trustOf = ({ tenant_id }: Delivery, { allowPrivateAddresses }: Env) => ({
  isTenants: tenant_id !== null,
  allowPrivate: allowPrivateAddresses,
});

export const footer = ({ alert, channel }: Delivery) =>
  `Alert ${alert.id} (${alert.kind}) by Spendgate, to the channel ${channel}`;
