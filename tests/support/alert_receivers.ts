// Receivers of alerts that are as strict as the real ones: what Slack, PagerDuty or Resend would refuse, they refuse.
import type { IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";
import { Webhook } from "standardwebhooks";
import { z } from "zod";
import { readBody, startServer } from "./server.ts";

interface Received<T> {
  path: string;
  headers: IncomingHttpHeaders;
  /** As it came. */
  text: string;
  body: T;
  /** What it was answered. */
  status: number;
}

export interface Receiver<T> {
  url: string;
  /** What came, refused or not, in its order. */
  received: Received<T>[];
  /** Of those, what was taken. */
  taken(): T[];
  /** Statuses of the next answers, before the right one. */
  fail: number[];
  /** Headers of those. */
  headers: Record<string, string>;
  /** Done with what came, before it is answered. */
  before: (() => Promise<void> | void) | undefined;
  clear(): void;
  stop(): Promise<void>;
}

/** Whether a request is right: its answer, else why not. */
type Judge<T> = (request: { path: string; headers: IncomingHttpHeaders; text: string }) => {
  status: number;
  body: T;
  answer: string;
};

async function startReceiver<T>(judge: Judge<T>): Promise<Receiver<T>> {
  const server = await startServer(async (request, response) => {
    const text = await readBody(request);
    const { headers, url: path = "" } = request;
    const judged = judge({ path, headers, text });
    const isRight = judged.status < 300 && request.method === "POST";
    const status = isRight ? (receiver.fail.shift() ?? judged.status) : judged.status;
    receiver.received.push({ path, headers, text, body: judged.body, status });
    await receiver.before?.();
    response.writeHead(status, status < 300 ? {} : receiver.headers).end(judged.answer);
  });
  const receiver: Receiver<T> = {
    url: server.url,
    received: [],
    taken: () => receiver.received.filter(({ status }) => status < 300).map(({ body }) => body),
    fail: [],
    headers: {},
    before: undefined,
    clear() {
      receiver.received.length = 0;
      receiver.fail = [];
      receiver.headers = {};
      receiver.before = undefined;
    },
    stop: server.stop,
  };
  return receiver;
}

function parsed<S extends z.ZodType>(schema: S, text: string) {
  try {
    return schema.safeParse(JSON.parse(text));
  } catch {
    return schema.safeParse(undefined);
  }
}

const plain = (most: number) =>
  z.strictObject({
    type: z.literal("plain_text"),
    text: z.string().min(1).max(most),
    emoji: z.boolean().optional(),
  });
const mrkdwn = (most: number) =>
  z.strictObject({
    type: z.literal("mrkdwn"),
    text: z.string().min(1).max(most),
    verbatim: z.boolean().optional(),
  });
const block = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("header"), text: plain(150) }),
  z
    .strictObject({
      type: z.literal("section"),
      text: mrkdwn(3000).optional(),
      fields: z.array(mrkdwn(2000)).min(1).max(10).optional(),
    })
    .refine(({ text, fields }) => text ?? fields),
  z.strictObject({
    type: z.literal("actions"),
    elements: z
      .array(
        z.strictObject({
          type: z.literal("button"),
          text: plain(75),
          url: z.url().max(3000),
        }),
      )
      .min(1)
      .max(25),
  }),
  z.strictObject({ type: z.literal("context"), elements: z.array(mrkdwn(3000)).min(1).max(10) }),
]);
const slackMessage = z.strictObject({
  text: z.string().min(1).max(40_000),
  blocks: z.array(block).min(1).max(50),
});
export type SlackMessage = z.output<typeof slackMessage>;

/** An incoming webhook of Slack, at a path that is a secret. */
export function startSlack(secretPath: string): Promise<Receiver<SlackMessage>> {
  return startReceiver(({ path, headers, text }) => {
    const { success, data } = parsed(slackMessage, text);
    const body = data as SlackMessage;
    if (path !== secretPath) return { status: 404, body, answer: "no_service" };
    const isJson = headers["content-type"]?.startsWith("application/json");
    if (!isJson || !success) return { status: 400, body, answer: "invalid_blocks" };
    return { status: 200, body, answer: "ok" };
  });
}

const key = z.string().regex(/^[A-Za-z0-9]{32}$/);
const pagerDutyEvent = z.discriminatedUnion("event_action", [
  z.strictObject({
    routing_key: key,
    event_action: z.literal("trigger"),
    dedup_key: z.string().min(1).max(255),
    payload: z.strictObject({
      summary: z.string().min(1).max(1024),
      source: z.string().min(1),
      severity: z.enum(["critical", "error", "warning", "info"]),
      timestamp: z.iso.datetime({ offset: true }).optional(),
      component: z.string().optional(),
      group: z.string().optional(),
      class: z.string().optional(),
      custom_details: z.record(z.string(), z.unknown()).optional(),
    }),
    links: z.array(z.strictObject({ href: z.url(), text: z.string() })).optional(),
    client: z.string().optional(),
    client_url: z.url().optional(),
  }),
  z.strictObject({
    routing_key: key,
    event_action: z.enum(["resolve", "acknowledge"]),
    dedup_key: z.string().min(1).max(255),
  }),
]);
export type PagerDutyEvent = z.output<typeof pagerDutyEvent>;

/** The Events API v2, for services with these routing keys. */
export function startPagerDuty(routingKeys: string[]): Promise<Receiver<PagerDutyEvent>> {
  return startReceiver(({ path, text }) => {
    const { success, data } = parsed(pagerDutyEvent, text);
    const body = data as PagerDutyEvent;
    if (path !== "/v2/enqueue") return { status: 404, body, answer: "" };
    if (!success || !routingKeys.includes(body.routing_key)) {
      return { status: 400, body, answer: '{"status":"invalid event"}' };
    }
    return { status: 202, body, answer: `{"status":"success","dedup_key":"${body.dedup_key}"}` };
  });
}

const resendMail = z.strictObject({
  from: z.string().regex(/^([^<>]+ <[^@\s<>]+@[^@\s<>]+>|[^@\s<>]+@[^@\s<>]+)$/),
  to: z.array(z.email()).min(1).max(50),
  subject: z
    .string()
    .min(1)
    .regex(/^[^\r\n]*$/),
  text: z.string().min(1),
  html: z.string().min(1),
});
export type ResendMail = z.output<typeof resendMail>;

/** Resend's API: a mail with an idempotency key that was used is answered, and sent once. */
export function startResend(apiKey: string): Promise<Receiver<ResendMail>> {
  return startReceiver(({ path, headers, text }) => {
    const { success, data } = parsed(resendMail, text);
    const body = data as ResendMail;
    if (headers.authorization !== `Bearer ${apiKey}`) return { status: 401, body, answer: "{}" };
    const idempotencyKey = String(headers["idempotency-key"] ?? "");
    const isKey = idempotencyKey.length >= 1 && idempotencyKey.length <= 256;
    if (path !== "/emails" || !success || !isKey) return { status: 422, body, answer: "{}" };
    return { status: 200, body, answer: '{"id":"49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}' };
  });
}

export interface AlertWebhook {
  type: string;
  timestamp: string;
  data: Record<string, unknown>;
}

/** Verifies what it gets by the library that Standard Webhooks gives to receivers. */
export function startWebhook(secret: string): Promise<Receiver<AlertWebhook>> {
  const verifier = secret.startsWith("whsec_")
    ? new Webhook(secret)
    : new Webhook(secret, { format: "raw" });
  return startReceiver(({ headers, text }) => {
    try {
      const body = verifier.verify(text, headers as Record<string, string>) as AlertWebhook;
      return { status: 204, body, answer: "" };
    } catch {
      return { status: 400, body: undefined as never, answer: "wrong signature" };
    }
  });
}

export interface ReceivedMail {
  from: string;
  to: string[];
  headers: Record<string, string>;
  text: string;
  html: string;
}

export interface MailServer {
  port: number;
  received: ReceivedMail[];
  /** Codes of the next answers, before 250. */
  fail: number[];
  stop(): Promise<void>;
}

/** A mail server that wants a name and a password. */
export async function startMailServer(name: string, password: string): Promise<MailServer> {
  const received: ReceivedMail[] = [];
  const fail: number[] = [];
  const server = new SMTPServer({
    disabledCommands: ["STARTTLS"],
    allowInsecureAuth: true,
    logger: false,
    onAuth(auth, _session, done) {
      const isRight = auth.username === name && auth.password === password;
      if (isRight) return done(null, { user: name });
      return done(
        Object.assign(new Error(`wrong password ${auth.password}`), { responseCode: 535 }),
      );
    },
    onData(stream, { envelope }, done) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk) => chunks.push(chunk));
      stream.on("end", () => {
        const code = fail.shift();
        if (code) return done(Object.assign(new Error("not now"), { responseCode: code }));
        received.push(readMail(Buffer.concat(chunks).toString("utf8"), envelope));
        return done();
      });
    },
  });
  server.on("error", () => {});
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  return {
    port: (server.server.address() as AddressInfo).port,
    received,
    fail,
    stop: () => new Promise((done) => server.close(() => done())),
  };
}

type Envelope = { mailFrom: false | { address: string }; rcptTo: { address: string }[] };

function readMail(raw: string, { mailFrom, rcptTo }: Envelope): ReceivedMail {
  const { headers, body } = readPart(raw);
  const boundary = /boundary="?([^";]+)"?/.exec(headers["content-type"] ?? "")?.[1];
  const parts = body
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((part) => readPart(part.replace(/^\r\n/, "")));
  const textOf = (type: string) => {
    const part = parts.find((each) => each.headers["content-type"]?.startsWith(type));
    return part === undefined ? "" : decoded(part);
  };
  return {
    from: mailFrom ? mailFrom.address : "",
    to: rcptTo.map(({ address }) => address),
    headers,
    text: textOf("text/plain"),
    html: textOf("text/html"),
  };
}

interface Part {
  headers: Record<string, string>;
  body: string;
}

function readPart(raw: string): Part {
  const [head = "", ...body] = raw.split("\r\n\r\n");
  const lines = head.replace(/\r\n[ \t]+/g, " ").split("\r\n");
  const headers = Object.fromEntries(
    lines.map((line) => {
      const [, name = "", value = ""] = /^([^:]+):\s*(.*)$/.exec(line) ?? [];
      return [name.toLowerCase(), value];
    }),
  );
  return { headers, body: body.join("\r\n\r\n") };
}

function decoded({ headers, body }: Part): string {
  const encoding = headers["content-transfer-encoding"];
  if (encoding === "base64") return Buffer.from(body, "base64").toString("utf8");
  if (encoding !== "quoted-printable") return body.replaceAll("\r\n", "\n");
  const bytes = body
    .replace(/=\r\n/g, "")
    .replace(/=([\dA-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8").replaceAll("\r\n", "\n");
}
