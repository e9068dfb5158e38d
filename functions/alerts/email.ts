// Mails: by SMTP, or by an HTTP API in Resend's format, for functions that may not open the ports of mail.
import type { Env } from "../_shared/runtime/env.ts";
import { log } from "../_shared/runtime/log.ts";
import { DeliveryFailure } from "./failure.ts";
import type { Message } from "./message.ts";
import { codeOf, post } from "./post.ts";

const TIMEOUT_MS = 10_000;

export interface Mail {
  subject: string;
  text: string;
  html: string;
}

export function toMail({ title, sentences, fields, link }: Message, context: string): Mail {
  const rows = fields.map(({ name, value }) => `${name}: ${value}`);
  const text = [
    sentences.join("\n"),
    rows.join("\n"),
    ...(link ? [`${link.text}: ${link.url}`] : []),
    context,
  ].join("\n\n");
  return {
    subject: title,
    text: `${text}\n`,
    html: toHtml({ title, sentences, fields, link }, context),
  };
}

function toHtml(
  { title, sentences, fields, link }: Omit<Message, "severity">,
  context: string,
): string {
  const cell = 'style="padding:2px 16px 2px 0;text-align:left;vertical-align:top"';
  return [
    "<!doctype html>",
    '<html lang="en"><body style="font-family:sans-serif;font-size:15px;line-height:1.5">',
    `<h1 style="font-size:18px">${escaped(title)}</h1>`,
    ...sentences.map((sentence) => `<p>${escaped(sentence)}</p>`),
    "<table>",
    ...fields.map(
      ({ name, value }) =>
        `<tr><th ${cell}>${escaped(name)}</th><td ${cell}>${escaped(value)}</td></tr>`,
    ),
    "</table>",
    ...(link ? [`<p><a href="${escaped(link.url)}">${escaped(link.text)}</a></p>`] : []),
    `<p style="color:#666">${escaped(context)}</p>`,
    "</body></html>",
    "",
  ].join("\n");
}

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const escaped = (text: string) =>
  text.replace(/[&<>"']/g, (character) => ENTITIES[character] as string);

/** What sending a mail needs of the environment. */
export type MailSettings = Pick<Env, "alertEmailFrom" | "smtpUrl" | "resendKey" | "resendUrl">;

/** Whether mails can be sent at all. */
export function canMail({ alertEmailFrom, smtpUrl, resendKey }: MailSettings): boolean {
  return alertEmailFrom !== undefined && (smtpUrl ?? resendKey) !== undefined;
}

/** @throws DeliveryFailure */
export async function sendMail(
  mail: Mail,
  to: string[],
  key: { id: string; createdAt: string },
  settings: MailSettings,
): Promise<void> {
  const { alertEmailFrom: from, smtpUrl, resendKey, resendUrl } = settings;
  if (from === undefined || (smtpUrl ?? resendKey) === undefined) {
    throw new DeliveryFailure("the platform has no mail server: ALERT_EMAIL_FROM, ALERT_SMTP_URL", {
      code: "no_mail_server",
    });
  }
  if (smtpUrl !== undefined) return sendBySmtp(mail, from, to, key, smtpUrl);
  return post(
    "the mail service",
    {
      url: `${resendUrl.replace(/\/+$/, "")}/emails`,
      headers: { authorization: `Bearer ${resendKey}`, "idempotency-key": key.id },
      body: { from, to, ...mail },
    },
    { isTenants: false, allowPrivate: true },
  );
}

async function sendBySmtp(
  mail: Mail,
  from: string,
  to: string[],
  { id, createdAt }: { id: string; createdAt: string },
  url: string,
): Promise<void> {
  // Loaded by those alone that send by it.
  const { createTransport } = await import("nodemailer");
  const transport = createTransport({
    url,
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  } as Parameters<typeof createTransport>[0]);
  const host = /@([^\s>]+)>?$/.exec(from)?.[1] ?? "spendgate";
  try {
    const { rejected } = await transport.sendMail({
      ...mail,
      from,
      to,
      // Sent again, it is the same mail: mailboxes show one.
      messageId: `<${id}.${Date.parse(createdAt)}@${host}>`,
      headers: { "Auto-Submitted": "auto-generated", "X-Spendgate-Alert": id },
    });
    // The others have it: all would get it again.
    if (rejected.length > 0)
      log("warn", "mail_refused", { deliveryKey: id, count: rejected.length });
  } catch (thrown) {
    throw failureOf(thrown);
  } finally {
    transport.close();
  }
}

/** By the server's code alone: its words repeat addresses, and may repeat more. */
function failureOf(thrown: unknown): DeliveryFailure {
  const { responseCode: status } = (thrown ?? {}) as { responseCode?: unknown };
  const code = codeOf(thrown);
  return typeof status === "number"
    ? new DeliveryFailure(`the mail server answered ${status}`, { status, code })
    : new DeliveryFailure(`the mail server could not be reached${code ? ` (${code})` : ""}`, {
        code,
      });
}
