// Amounts and lines as messages have them, and what the formats of Slack and PagerDuty take at most.
import { describe, expect, it } from "vitest";
import { line, type Message, money } from "../../../functions/alerts/message.ts";
import { toPagerDuty } from "../../../functions/alerts/pagerduty.ts";
import { escaped, toSlack } from "../../../functions/alerts/slack.ts";
import { sampleOf } from "./samples.ts";

describe("An amount", () => {
  it.each([
    ["0", "$0.00"],
    ["0.000000000000", "$0.00"],
    ["80.4", "$80.40"],
    ["100.000000000000", "$100.00"],
    ["1234567.891", "$1,234,567.891"],
    ["-12345.5", "-$12,345.50"],
    // Cut off, so that 99.99999 of 100 is not all of it.
    ["99.999990000000", "$99.9999"],
    ["1.000001000000", "$1.00"],
    // Four digits of what is less than a dollar: nothing that was spent is shown as nothing.
    ["0.000000000001", "$0.000000000001"],
    ["0.000004999999", "$0.000004999"],
    ["0.123456", "$0.1234"],
    ["-0.05", "-$0.05"],
    ["1e-7", "$0.0000001"],
  ])("of %s is shown as %s", (usd, shown) => {
    expect(money(usd)).toBe(shown);
  });
});

it("A line of 5 characters is cut after 4, has no breaks, and no characters that turn text around", () => {
  expect(line("a\r\n\tb\u2028c", 5)).toBe("a b c");
  expect(line("abcdefg", 5)).toBe("abcd…");
  expect(line("a\u202eb\u0000", 5)).toBe("a b");
  expect(line("😀😀😀😀😀😀", 5)).toBe("😀😀😀😀…");
});

const long: Message = {
  title: `<${"a".repeat(400)}&`,
  sentences: ["<&>".repeat(4000)],
  fields: Array.from({ length: 14 }, (_, i) => ({ name: `N${i}`, value: "&".repeat(3000) })),
  severity: "error",
};

describe("Slack takes", () => {
  const { text, blocks } = toSlack(long, "&".repeat(5000)) as {
    text: string;
    blocks: { type: string; text?: { text: string }; fields?: { text: string }[] }[];
  };
  const [header, body, table] = blocks;

  it("150 characters in a header, 3,000 in a text, 2,000 in a field, and 10 fields", () => {
    expect(header?.text?.text.length).toBe(150);
    expect(body?.text?.text.length).toBeGreaterThan(2990);
    expect(body?.text?.text.length).toBeLessThanOrEqual(3000);
    expect(text.length).toBeLessThanOrEqual(3000);
    expect(table?.fields).toHaveLength(10);
    expect(Math.max(...(table?.fields ?? []).map((field) => field.text.length))).toBeLessThan(2001);
  });

  it("no bare <, > or &, and no half of an entity at a cut", () => {
    for (const shown of [text, header?.text?.text, body?.text?.text, table?.fields?.[0]?.text]) {
      expect(shown?.replaceAll(/&(amp|lt|gt);/g, "")).not.toMatch(/[<>&]/);
    }
    expect(escaped("a<b>&", 99)).toBe("a&lt;b&gt;&amp;");
    expect(escaped("&&&", 11)).toBe("&amp;&amp;…");
    expect(escaped("&&&", 10)).toBe("&amp;…");
  });
});

it("PagerDuty takes a summary of 1,024 characters", () => {
  const delivery = sampleOf("quota_warning", "pagerduty");
  const body = toPagerDuty(delivery, { ...long, title: "a".repeat(2000) }, "key", "one");
  expect((body as { payload: { summary: string } }).payload.summary).toHaveLength(1024);
});

describe("PagerDuty's dedup_key", () => {
  const keyOf = (project: string, event: "trigger" | "resolve" = "trigger") => {
    const delivery = { ...sampleOf("quota_warning", "pagerduty"), event };
    delivery.idempotency_key += event === "resolve" ? "_resolve" : "";
    return (toPagerDuty(delivery, long, "key", project) as { dedup_key: string }).dedup_key;
  };

  it.each([
    ["https://one.supabase.co", "one.supabase.co/alert_17_pagerduty"],
    ["http://127.0.0.1:54321", "127.0.0.1:54321/alert_17_pagerduty"],
    ["staging", "staging/alert_17_pagerduty"],
    ["team:staging", "team:staging/alert_17_pagerduty"],
  ])("of the project %s is %s, of trigger and of resolve", (project, key) => {
    expect(keyOf(project)).toBe(key);
    expect(keyOf(project, "resolve")).toBe(key);
  });

  it("of alert 17 of two projects that share a routing key are two", () => {
    expect(keyOf("https://one.supabase.co")).not.toBe(keyOf("https://two.supabase.co"));
  });

  it("has 255 characters at most, and the alert's id whole", () => {
    const key = keyOf("p".repeat(1000));
    expect(key).toHaveLength(255);
    expect(key).toMatch(/p\/alert_17_pagerduty$/);
  });
});
