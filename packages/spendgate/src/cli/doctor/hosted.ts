// A project over HTTP, with its secret key: the Data API, and the functions' own health.
import { manifest } from "../assets.ts";
import { exposureFinding } from "./database.ts";
import { type Finding, ok, warning, wrong } from "./findings.ts";
import { findingsOf, type State } from "./state.ts";

const TIMEOUT_MS = 15_000;

/** @param names functions that the project has; undefined where nobody knows. */
export async function lookAtHosted(
  origin: string,
  secretKey: string,
  names?: string[],
): Promise<Finding[]> {
  const key = keyFinding(secretKey);
  if (key.status === "wrong") return [key];
  const api = new DataApi(origin, secretKey);
  const findings = await api.look();
  return [...findings, ...(await functionFindings(origin, names))];
}

/** What can be seen of a key without using it. */
function keyFinding(key: string): Finding {
  const remedy = "Give the secret key (Dashboard, API keys): sb_secret_….";
  if (key.startsWith("sb_publishable_") || roleOf(key) === "anon") {
    return wrong("key", "This is the publishable key, which may not look.", remedy);
  }
  if (key.startsWith("sb_secret_") || roleOf(key) === "service_role") return ok("key", "secret");
  return wrong("key", "This is no key of a Supabase project.", remedy);
}

/** The role in a key of the older kind, which is a JWT. */
function roleOf(key: string): string | undefined {
  try {
    return JSON.parse(Buffer.from(key.split(".")[1] ?? "", "base64url").toString()).role;
  } catch {
    return undefined;
  }
}

interface Answer {
  status: number;
  body: unknown;
  code?: string;
  range?: string | null;
}

class DataApi {
  readonly #origin: string;
  readonly #key: string;

  constructor(origin: string, key: string) {
    this.#origin = origin;
    this.#key = key;
  }

  async look(): Promise<Finding[]> {
    const contract = await this.#rpc("contract_version").catch((error) => error as Error);
    if (contract instanceof Error) {
      const reason = (contract.cause as { code?: string } | undefined)?.code ?? contract.message;
      return [
        wrong(
          "url",
          `${this.#origin} cannot be reached: ${reason}.`,
          "Give the project's origin: https://<ref>.supabase.co.",
        ),
      ];
    }
    if (contract.status === 401 || (contract.status === 403 && contract.code !== "42501")) {
      return [
        wrong(
          "key",
          `The project refuses this key (${contract.status}).`,
          "It may be of another project, or deleted: see Dashboard, API keys.",
        ),
      ];
    }
    if (contract.code === "PGRST106") return [exposureFinding(false, false)];
    if (contract.code === "PGRST202" || contract.status === 404) {
      return [
        wrong(
          "database",
          "The database has no Spendgate, or the Data API does not know of it yet.",
          "Run `npx supabase db push`; then, where that was done, `notify pgrst, 'reload schema'`.",
        ),
      ];
    }
    if (contract.status >= 300) {
      return [
        wrong(
          "database",
          `The Data API answers ${contract.status}${contract.code ? ` (${contract.code})` : ""}.`,
          "See the project's API logs.",
        ),
      ];
    }
    const hidden = await this.#get("/quota_balances?limit=0", "spend_private");
    return [
      ok("key", "the secret key works"),
      exposureFinding(true, hidden.code !== "PGRST106"),
      ...findingsOf(await this.#state(Number(contract.body))),
    ];
  }

  async #state(contractVersion: number): Promise<State> {
    const [maintenance, newest, operators, tenants, undelivered, count] = await Promise.all([
      this.#rpc("maintenance_status"),
      this.#rpc("newest_price_from"),
      this.#count("/operators?select=user_id"),
      this.#count("/tenants?select=id"),
      this.#get("/alerts?select=created_at&delivered_at=is.null&order=created_at&limit=1"),
      this.#count("/alerts?select=id&delivered_at=is.null"),
    ]);
    const [oldest] = Array.isArray(undelivered.body) ? undelivered.body : [];
    return {
      contractVersion,
      maintenance:
        maintenance.status < 300 ? (maintenance.body as NonNullable<State["maintenance"]>) : null,
      newestPrice: newest.status < 300 ? (newest.body as string | null) : null,
      operators,
      tenants,
      undeliveredAlerts: count,
      oldestUndelivered: oldest?.created_at ?? null,
    };
  }

  #rpc(name: string): Promise<Answer> {
    return this.#ask(`/rpc/${name}`, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json", "content-profile": "spend" },
    });
  }

  #get(path: string, schema = "spend", headers: Record<string, string> = {}): Promise<Answer> {
    return this.#ask(path, { headers: { "accept-profile": schema, ...headers } });
  }

  /** How many rows there are. */
  async #count(path: string): Promise<number> {
    const answer = await this.#get(`${path}&limit=1`, "spend", { prefer: "count=exact" });
    return Number(answer.range?.split("/")[1] ?? (answer.body as unknown[] | null)?.length ?? 0);
  }

  async #ask(path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(`${this.#origin}/rest/v1${path}`, {
      ...init,
      headers: { ...init.headers, apikey: this.#key, authorization: `Bearer ${this.#key}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const body = await response.json().catch(() => null);
    const code = (body as { code?: string } | null)?.code;
    return { status: response.status, body, code, range: response.headers.get("content-range") };
  }
}

async function functionFindings(origin: string, names?: string[]): Promise<Finding[]> {
  const all = names ?? Object.keys(manifest.functions);
  return Promise.all(all.map((name) => functionFinding(origin, name, names !== undefined)));
}

interface Health {
  status?: string;
  remedies?: string[];
  error?: string;
  message?: string;
}

async function functionFinding(origin: string, name: string, isExpected: boolean) {
  const check = `function.${name}`;
  const url = `${origin}/functions/v1/${name}/health`;
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(() => null);
  if (response === null) {
    return wrong(check, `${name} gives no answer.`, "See the function's logs.");
  }
  const body = ((await response.json().catch(() => null)) ?? {}) as Health;
  const deploy = `Run \`npx supabase functions deploy ${name} --use-api\`.`;
  if (response.status === 404) {
    return isExpected
      ? wrong(check, `${name} is not deployed.`, deploy)
      : warning(check, `${name} is not deployed.`, `If you want it: ${deploy}`);
  }
  if (response.status === 401) {
    const message = `The platform asks for a JWT before ${name} sees the call, so secret keys are refused.`;
    return wrong(check, message, `Set verify_jwt = false in [functions.${name}]. ${deploy}`);
  }
  if (body.status === "ok" || body.status === "degraded") return ok(check, `${name} works`);
  const reason = body.remedies?.join(" ") ?? body.message ?? "See the function's logs.";
  return wrong(
    check,
    `${name} answers ${response.status}${body.error ? ` ${body.error}` : ""}.`,
    reason,
  );
}
