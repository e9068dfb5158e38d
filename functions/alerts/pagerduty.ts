// PagerDuty's Events API v2: https://developer.pagerduty.com/docs/send-alert-event
import type { Delivery } from "./alert.ts";
import type { Message } from "./message.ts";

const SUMMARY = 1024;
const DEDUP_KEY = 255;

/**
 * The body for /v2/enqueue. Trigger and resolve of an alert have one `dedup_key`, which begins with the project: others may
 * have the same routing key, and count their alerts from 1 too.
 */
export function toPagerDuty(
  delivery: Delivery,
  message: Message,
  routingKey: string,
  project: string,
): object {
  const { alert, event, idempotency_key } = delivery;
  const { title, sentences, fields, link, severity } = message;
  const common = {
    routing_key: routingKey,
    event_action: event,
    dedup_key: dedupKey(project, idempotency_key.replace(/_resolve$/, "")),
  };
  if (event === "resolve") return common;
  return {
    ...common,
    payload: {
      summary: [...title].slice(0, SUMMARY).join(""),
      source: sourceOf(delivery),
      severity,
      timestamp: alert.created_at,
      component: "quota_id" in alert ? `quota ${alert.quota_id}` : (alert.subject ?? undefined),
      group: alert.tenant_id ?? "platform",
      class: alert.kind,
      custom_details: {
        ...Object.fromEntries(fields.map(({ name, value }) => [name, value])),
        Message: sentences.join(" "),
      },
    },
    ...(link && { links: [{ href: link.url, text: link.text }] }),
    client: "Spendgate",
    ...(link && { client_url: link.url }),
  };
}

/** A project that is named by its address is known by its host. */
function dedupKey(project: string, key: string): string {
  const name = (URL.canParse(project) && new URL(project).host) || project;
  return `${[...name].slice(0, DEDUP_KEY - key.length - 1).join("")}/${key}`;
}

const sourceOf = ({ alert }: Delivery) =>
  alert.tenant_id === null ? "spendgate" : `spendgate tenant ${alert.tenant_id}`;
