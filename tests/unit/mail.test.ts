// Mail of the local stack's Auth, by a server that speaks SMTP.

import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { mailBy } from "../../scripts/stack/mail.ts";
import { settingProblems } from "../../scripts/stack/settings.ts";

const mails: string[] = [];
const commands: string[] = [];
let server: Server;
let port: number;

beforeAll(async () => {
  server = createServer(receive);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => new Promise((done) => server.close(done)));

/** As much of RFC 5321 as a mail needs. */
function receive(socket: Socket): void {
  let lines: string[] | undefined;
  let rest = "";
  socket.write("220 ready\r\n");
  socket.on("data", (chunk) => {
    const parts = (rest + chunk).split("\r\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      if (lines && line === ".") {
        mails.push(lines.join("\n"));
        lines = undefined;
        socket.write("250 accepted\r\n");
      } else if (lines) lines.push(line);
      else {
        commands.push(line);
        if (line === "DATA") lines = [];
        const [answer] = { DATA: ["354 go on"], QUIT: ["221 bye"], STARTTLS: ["502 unknown"] }[
          line
        ] ?? ["250 right"];
        socket.write(`${answer}\r\n`);
      }
    }
  });
  socket.on("error", () => {});
}

it("a mail reaches the server of the URL, without TLS where it is on this machine", async () => {
  await mailBy(`smtp://127.0.0.1:${port}`).send({
    to: "ada@example.com",
    subject: "Your code",
    text: "It is 123456",
  });
  expect(commands).toContain("RCPT TO:<ada@example.com>");
  expect(mails).toHaveLength(1);
  expect(mails[0]).toContain("It is 123456");
});

it("a password goes to no other machine without TLS: the mail fails, and the server hears no password", async () => {
  commands.length = 0;
  // Another name of this machine, which the stack cannot know to be one.
  const mail = mailBy(`smtp://user:canary@127.0.0.2:${port}`);
  const other = createServer(receive);
  await new Promise<void>((done) => other.listen(port, "127.0.0.2", done));
  try {
    await expect(
      mail.send({ to: "ada@example.com", subject: "Your code", text: "It is 123456" }),
    ).rejects.toThrow();
    expect(commands.some((line) => line.startsWith("AUTH"))).toBe(false);
    expect(mails).toHaveLength(1);
  } finally {
    await new Promise((done) => other.close(done));
  }
});

it("SPENDGATE_SMTP_URL is a URL of smtp or smtps", () => {
  const wrong = (url: string) => settingProblems({ SPENDGATE_SMTP_URL: url }).wrong;
  expect(wrong("smtps://user:pass@mail.example.com")).toEqual([]);
  expect(wrong("https://mail.example.com")).toHaveLength(1);
});
