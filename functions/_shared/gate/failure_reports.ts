// Tells the operator, by an alert, of what calls cannot put right themselves: in the background, and as far as it goes.
import * as z from "zod";
import type { Database } from "../database/client.ts";
import { inBackground } from "../runtime/background.ts";
import { describeError, log } from "../runtime/log.ts";

const HOUR_MS = 3_600_000;

/** Alerts of a kind and a tenant that one worker records in an hour: a request can name a thousand products. */
const MOST = 10;

/** Names as products and errors have them. Anything else may be somebody's words. */
const NAME = /^[\w.:@/-]{1,120}$/;

export interface Failure {
  kind: "settle_failed" | "price_missing";
  tenantId: string | null;
  /** What it is about: a product, the class of an error. */
  subject: string;
  message: string;
  details?: Record<string, string>;
}

export class FailureReports {
  readonly #database: Database;
  #hour = 0;
  /** Subjects that were told in this hour, by kind and tenant. */
  #told = new Map<string, Set<string>>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Records an alert, once an hour for each subject. Never throws, and nobody waits for it. */
  report(failure: Failure): void {
    if (!this.#isNew(failure)) return;
    const { kind, tenantId, subject, message, details = {} } = failure;
    const reported = this.#database.rpc("report_failure", z.boolean(), {
      kind,
      tenant_id: tenantId,
      subject,
      message,
      details,
    });
    inBackground(
      reported.catch((error) => {
        log("warn", "failure_not_reported", { kind, ...describeError(error) });
        this.#told.get(`${kind} ${tenantId}`)?.delete(subject);
      }),
    );
  }

  #isNew({ kind, tenantId, subject }: Failure): boolean {
    if (!NAME.test(subject)) return false;
    const hour = Math.floor(Date.now() / HOUR_MS);
    if (hour !== this.#hour) this.#told.clear();
    this.#hour = hour;
    const key = `${kind} ${tenantId}`;
    const told = this.#told.get(key) ?? new Set();
    this.#told.set(key, told);
    if (told.has(subject) || told.size >= MOST) return false;
    told.add(subject);
    return true;
  }
}
