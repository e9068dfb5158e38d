// Signing in by a one-time code: Auth of the local stack makes and checks the codes, and the test reads the mail.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BROWSER, type DashboardStack, type Person, startDashboard } from "./browser.ts";

describe.skipIf(!BROWSER)("one-time codes", () => {
  let stack: DashboardStack;
  let owner: Person;
  const mails: { to: string; text?: string }[] = [];

  beforeAll(async () => {
    stack = await startDashboard({ mail: { send: async (mail) => void mails.push(mail) } });
    const { id } = await stack.createTenant({ name: "Acme" });
    owner = await stack.person(id, "owner");
  }, 120_000);

  afterAll(() => stack?.stop());

  it("a wrong code is told, the right one of the mail opens the tenant, and no code serves twice", async () => {
    const { page, close } = await stack.open();
    await page.goto(`${stack.url}/dashboard/`);
    await page.getByRole("button", { name: "Use a one-time code" }).click();
    expect(await page.getByLabel("Password").count()).toBe(0);
    await page.getByLabel("Email").fill(owner.email);
    await page.getByRole("button", { name: "Send a code" }).click();
    await page.getByLabel("Code").waitFor();
    expect(mails.map(({ to }) => to)).toEqual([owner.email]);
    const [code] = /\b\d{6}\b/.exec(mails[0]?.text ?? "") ?? [];
    expect(code).toBeDefined();

    await page.getByLabel("Code").fill(code === "000000" ? "000001" : "000000");
    await page.getByRole("button", { name: "Sign in" }).click();
    expect(await page.getByRole("alert").innerText()).not.toBe("");
    await page.getByLabel("Code").fill(`${code?.slice(0, 3)} ${code?.slice(3)}`);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator("#main h1", { hasText: "Overview" }).waitFor();
    await close();

    const again = await stack.anonymous.auth.verifyOtp({
      email: owner.email,
      token: code ?? "",
      type: "email",
    });
    expect(again.error).not.toBeNull();
  });

  it("an address without an account gets no mail and no account, and the page says the same", async () => {
    mails.length = 0;
    const { page, close } = await stack.open();
    await page.goto(`${stack.url}/dashboard/`);
    await page.getByRole("button", { name: "Use a one-time code" }).click();
    await page.getByLabel("Email").fill("nobody@example.com");
    await page.getByRole("button", { name: "Send a code" }).click();
    await page.getByText("If the address has an account").waitFor();
    expect(mails).toEqual([]);
    expect(await stack.sql`select from auth.users where email = 'nobody@example.com'`).toHaveLength(
      0,
    );
    await page.getByRole("button", { name: "Use the password" }).click();
    await page.getByLabel("Password").waitFor();
    await close();
  });
});

describe.skipIf(!BROWSER)("without mail", () => {
  it("the page to sign in offers no code", async () => {
    const stack = await startDashboard();
    const { page, close } = await stack.open();
    await page.goto(`${stack.url}/dashboard/`);
    await page.getByLabel("Password").waitFor();
    expect(await page.getByRole("button", { name: "Use a one-time code" }).count()).toBe(0);
    await close();
    await stack.stop();
  }, 120_000);
});
