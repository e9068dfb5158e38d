// Slack's incoming webhooks, with Block Kit: https://docs.slack.dev/reference/block-kit/blocks
import type { Message, Severity } from "./message.ts";

/** Characters that Slack takes, counted as they are sent. */
const HEADER = 150;
const TEXT = 3000;
const FIELD = 2000;
const FIELDS = 10;

const SIGNS: Record<Severity, string> = { critical: "🔴", error: "🔴", warning: "🟠" };

/** The body for an incoming webhook. `text` is for notifications, and for clients without blocks. */
export function toSlack(message: Message, context: string): object {
  const { title, sentences, fields, link, severity } = message;
  const head = `${SIGNS[severity]} ${title}`;
  return {
    text: escaped([title, ...sentences, ...(link ? [link.url] : [])].join("\n"), TEXT),
    blocks: [
      { type: "header", text: { type: "plain_text", text: escaped(head, HEADER), emoji: true } },
      { type: "section", text: mrkdwn(escaped(sentences.join("\n"), TEXT)) },
      {
        type: "section",
        fields: fields
          .slice(0, FIELDS)
          .map(({ name, value }) =>
            mrkdwn(`*${escaped(name, 100)}*\n${escaped(value, FIELD - 200)}`),
          ),
      },
      ...(link
        ? [
            {
              type: "actions",
              elements: [
                {
                  type: "button",
                  text: { type: "plain_text", text: link.text },
                  url: link.url,
                },
              ],
            },
          ]
        : []),
      { type: "context", elements: [mrkdwn(escaped(context, TEXT))] },
    ],
  };
}

/** Verbatim: no name of a tenant becomes a link or a mention. */
const mrkdwn = (text: string) => ({ type: "mrkdwn", text, verbatim: true });

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

/** With Slack's three control characters escaped, cut where more would not be taken: never within an entity. */
export function escaped(text: string, most: number): string {
  const pieces = [...text].map((character) => ENTITIES[character] ?? character);
  let length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (length <= most) return pieces.join("");
  while (length > most - 1) length -= (pieces.pop() as string).length;
  return `${pieces.join("")}…`;
}
