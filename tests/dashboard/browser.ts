// The dashboard in a real browser, on a stack of its own.
import type { Browser, Page } from "playwright-core";
import { CHROMIUM, launchBrowser, NO_CHROMIUM } from "../../scripts/dashboard/browser.ts";
import { buildDashboard } from "../../scripts/stack/dashboard.ts";
import { startTestStack, type TestStack, type TestStackOptions } from "../support/stack.ts";

/** Undefined where there is no browser: the tests in it are skipped, and say so. */
export const BROWSER = CHROMIUM;

if (!BROWSER) console.warn(`The dashboard is not tested in a browser. ${NO_CHROMIUM}`);

export const PASSWORD = "correct horse battery";

export interface Person {
  id: string;
  email: string;
}

export interface DashboardStack extends TestStack {
  /** A person who can sign in, as a member of a tenant or not. */
  person(tenantId?: string, role?: "owner" | "admin" | "member"): Promise<Person>;
  operator(role: "viewer" | "editor"): Promise<Person>;
  /** A page of a browser session of its own; `fails` collects what it complains of. */
  open(width?: number): Promise<DashboardPage>;
}

export interface DashboardPage {
  page: Page;
  /** Errors on the console, uncaught ones, and answers of 400 and above. */
  complaints: string[];
  signIn(person: Pick<Person, "email">, password?: string): Promise<void>;
  /** Goes to an address behind the #, and waits until nothing is loading. */
  go(address: string): Promise<void>;
  close(): Promise<void>;
}

export async function startDashboard(options: TestStackOptions = {}): Promise<DashboardStack> {
  await buildDashboard();
  const stack = await startTestStack(options);
  let browser: Browser;
  try {
    browser = await launchBrowser();
  } catch (error) {
    await stack.stop();
    throw error;
  }
  let people = 0;

  const person: DashboardStack["person"] = async (tenantId, role = "member") => {
    const email = `person-${++people}@example.com`;
    const { data, error } = await stack.anonymous.auth.signUp({ email, password: PASSWORD });
    if (error || !data.user) throw error ?? new Error("no user");
    // The client must stay nobody's.
    await stack.anonymous.auth.signOut({ scope: "local" });
    const { id } = data.user;
    if (tenantId) {
      await stack.sql`insert into spend.tenant_members (tenant_id, user_id, role) values (${tenantId}, ${id}, ${role})`;
    }
    return { id, email };
  };

  return {
    ...stack,
    person,
    async operator(role) {
      const operator = await person();
      await stack.sql`insert into spend.operators (user_id, role) values (${operator.id}, ${role})`;
      return operator;
    },
    async open(width = 1280) {
      const context = await browser.newContext({ viewport: { width, height: 900 } });
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(error.message));
      const untilQuiet = quietOf(page);
      page.on("response", (response) => {
        if (response.status() >= 400) complaints.push(`${response.status()} ${response.url()}`);
      });
      return {
        page,
        complaints,
        async signIn({ email }, password = PASSWORD) {
          await page.goto(`${stack.url}/dashboard/`);
          await page.getByLabel("Email").fill(email);
          await page.getByLabel("Password").fill(password);
          await page.getByRole("button", { name: "Sign in" }).click();
          await page.locator("#main h1").waitFor();
        },
        async go(address) {
          // Another # alone loads nothing: what was on the screen before might still be.
          await page.goto("about:blank");
          await page.goto(`${stack.url}/dashboard/#${address}`);
          await page.locator("#main h1").waitFor();
          await untilQuiet();
          await page
            .getByRole("status", { name: "Loading" })
            .first()
            .waitFor({ state: "detached" });
        },
        close: () => context.close(),
      };
    },
    async stop() {
      await browser.close();
      await stack.stop();
    },
  };
}

/** An answer may ask for the next request: the page is quiet when it was so twice. */
const LOOKS = 2;

/** Waits until no request is under way, and the page is idle; Playwright's `networkidle` takes half a second each time. */
function quietOf(page: Page): () => Promise<void> {
  let underWay = 0;
  page.on("request", () => underWay++);
  page.on("requestfinished", () => underWay--);
  page.on("requestfailed", () => underWay--);
  return async () => {
    for (let looks = 0; looks < LOOKS; looks = underWay === 0 ? looks + 1 : 0) {
      await page.evaluate("new Promise((done) => requestIdleCallback(() => setTimeout(done, 50)))");
    }
  };
}

/** Books a call of a model through the gate. */
export async function bookCall(
  { service }: TestStack,
  tenantId: string,
  userId: string,
  tokens = 1000,
): Promise<string> {
  const usage = {
    provider: "openai",
    model: "gpt-4o-mini",
    input_tokens: tokens,
    output_tokens: tokens,
  };
  const { data } = await service
    .rpc("reserve", { tenant_id: tenantId, user_id: userId, resource_type: "llm", usage })
    .throwOnError();
  const { allowed, reservation_id, message } = data as unknown as {
    allowed: boolean;
    reservation_id: string;
    message: string;
  };
  if (!allowed) throw new Error(message);
  await service.rpc("settle", { reservation_id, usage }).throwOnError();
  return reservation_id;
}
