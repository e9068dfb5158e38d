// Every kind of alert as every channel shows it, whole. The files are what to read; `npx vitest run tests/unit/alerts -u`
// writes them anew.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ALERT_KINDS } from "../../../functions/_shared/runtime/settings.ts";
import { footer } from "../../../functions/alerts/channels.ts";
import { toMail } from "../../../functions/alerts/email.ts";
import { toMessage } from "../../../functions/alerts/message.ts";
import { toPagerDuty } from "../../../functions/alerts/pagerduty.ts";
import { toSlack } from "../../../functions/alerts/slack.ts";
import { toWebhook } from "../../../functions/alerts/webhook.ts";
import { SAMPLES, sampleOf } from "./samples.ts";

const FOLDER = join(import.meta.dirname, "rendered");
const DASHBOARD = "https://app.example.com/dashboard/";
const PROJECT = "https://abcdefghijklmnopqrst.supabase.co";
const ROUTING_KEY = "R0UT1NGKEY0000000000000000000000";
const fileOf = (name: string) => `${name.replace(/[^a-z_]+/g, "_")}.txt`;

function rendered(name: string): string {
  const json = (value: unknown) => JSON.stringify(value, null, 2);
  const [slack, pagerduty, email, webhook] = (
    ["slack", "pagerduty", "email", "webhook"] as const
  ).map((channel) => {
    const delivery = sampleOf(name, channel);
    return { delivery, message: toMessage(delivery.alert, DASHBOARD), context: footer(delivery) };
  }) as [Shown, Shown, Shown, Shown];
  const mail = toMail(email.message, email.context);
  const hook = toWebhook(webhook.delivery.alert, webhook.message, "alert_17_webhook", undefined);
  return [
    `${name}\n`,
    `== Slack\n${json(toSlack(slack.message, slack.context))}\n`,
    `== PagerDuty\n${json(toPagerDuty(pagerduty.delivery, pagerduty.message, ROUTING_KEY, PROJECT))}\n`,
    `== Email\nSubject: ${mail.subject}\n\n${mail.text}`,
    `== Email, HTML\n${mail.html}`,
    `== Webhook\n${json(JSON.parse(hook.body))}\n`,
  ].join("\n");
}
type Shown = {
  delivery: ReturnType<typeof sampleOf>;
  message: ReturnType<typeof toMessage>;
  context: string;
};

describe("On Slack, PagerDuty, in a mail and as a webhook", () => {
  it.each(Object.keys(SAMPLES))("%s looks as its file shows", async (name) => {
    await expect(rendered(name)).toMatchFileSnapshot(join(FOLDER, fileOf(name)));
  });

  it("all ten kinds are there, and no file is left over", () => {
    expect(ALERT_KINDS.filter((kind) => !(kind in SAMPLES))).toEqual([]);
    expect(ALERT_KINDS).toHaveLength(10);
    expect(readdirSync(FOLDER).sort()).toEqual(Object.keys(SAMPLES).map(fileOf).sort());
  });
});
