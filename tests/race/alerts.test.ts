// Alerts under concurrency: recorded once, claimed by one deliverer at a time, and claimed again after one that died.
import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addTenant, addTestModel, reserve, usageOf } from "../support/spend.ts";
import {
  atOnce,
  endsOrWaits,
  interleave,
  untilLockWaits,
  untilWaits,
  withSessions,
} from "./sessions.ts";

const hook = (quiet: number) =>
  JSON.stringify([{ name: "hook", kind: "webhook", quiet_minutes: quiet }]);

let database: TestDatabase;
let sql: Sql;
let tenantId: string;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 60 });
  sql = database.sql;
  await addTestModel(sql);
});
afterAll(() => database.close());
beforeEach(async () => {
  await sql`delete from spend.alerts`;
  await sql`delete from spend.alert_channels`;
  tenantId = await addTenant(sql, 100, 8);
  await sql`
    update spend.cost_quotas set warning_thresholds = '{0.8,0.95,1}' where tenant_id = ${tenantId}`;
});

const spend = async (session: Sql, usd: number) => {
  const { reservation_id } = await reserve(session, tenantId, null, usd);
  await session`select spend.settle(${reservation_id}, ${session.json(usageOf(usd))})`;
};
const recorded = () => sql`
  select kind, threshold::float8, count(*)::int as times from spend.alerts where tenant_id = ${tenantId}
  group by 1, 2 order by 2, 1`;
/** An alert for the operator about each subject. */
const report = (session: Sql, ...subjects: string[]) => session`
  select spend.report_failure('settle_failed', ${tenantId}, s, 'It failed.') from unnest(${subjects}::text[]) as s`;
const claim = async (session: Sql, rows = 100, quietMinutes = 0) => {
  const claimed = await session`
    select delivery_id, alert ->> 'subject' as subject, idempotency_key as key
    from spend.claim_deliveries(${hook(quietMinutes)}::text::jsonb, ${rows})`;
  return [...claimed];
};
const subjectsOf = (claimed: { subject?: string }[]) =>
  claimed.map(({ subject }) => subject).sort();
/** As if so much time had passed. */
const later = (seconds: number) => sql`
  update spend.alert_deliveries set next_attempt_at = next_attempt_at - make_interval(secs => ${seconds})`;

describe("Fifty concurrent calls of 2 of 100", () => {
  it("across 80, 95 and 100 percent record one alert for each", async () => {
    await Promise.all(Array.from({ length: 50 }, () => spend(sql, 2)));
    // What calls in different slots crossed together.
    await sql`select spend_private.record_missed_alerts()`;
    expect(await recorded()).toEqual([
      { kind: "quota_warning", threshold: 0.8, times: 1 },
      { kind: "quota_warning", threshold: 0.95, times: 1 },
      { kind: "quota_exceeded", threshold: 1, times: 1 },
    ]);
  });

  it("while maintenance records what they missed, too, record one alert for each", async () => {
    let isDone = false;
    const maintaining = (async () => {
      while (!isDone) await sql`select spend.maintain(job => 'record_alerts')`;
    })();
    try {
      await Promise.all(Array.from({ length: 50 }, () => spend(sql, 2)));
    } finally {
      isDone = true;
      await maintaining;
    }
    await sql`select spend_private.record_missed_alerts()`;
    expect((await recorded()).map(({ times }) => times)).toEqual([1, 1, 1]);
  });
});

describe("A deliverer", () => {
  const subjects = Array.from({ length: 20 }, (_, n) => `subject ${n}`);

  it.each([
    ["to the environment's channel", async () => {}],
    [
      "to rows",
      () => sql`
        update spend.alert_deliveries set channel_kind = 'email', channel = 'mail',
          channel_id = (select (spend.save_alert_channel(null, 'email', 'mail', 'a@example.com')).id)`,
    ],
  ])(
    "that is claiming deliveries %s makes another neither wait nor get the same",
    async (_, send) => {
      await report(sql, ...subjects);
      // Handed over, so that both find something to claim.
      await claim(sql, 0);
      await send();
      await withSessions(sql, 2, async (a, b) => {
        await a.sql`begin`;
        const first = await claim(a.sql, 10);
        expect(first).toHaveLength(10);
        await b.sql`set lock_timeout = '1s'`;
        const second = await claim(b.sql, 100);
        await b.sql`reset lock_timeout`;
        expect(subjectsOf([...first, ...second])).toEqual([...subjects].sort());
        await a.sql`commit`;
      });
    },
  );

  it("that is handing alerts over makes another neither wait nor hand them over, too", async () => {
    await report(sql, ...subjects);
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      expect(await claim(a.sql)).toHaveLength(20);
      await b.sql`set lock_timeout = '1s'`;
      expect(await claim(b.sql)).toEqual([]);
      await b.sql`reset lock_timeout`;
      await a.sql`commit`;
    });
    const [row] = await sql`select count(*)::int as deliveries from spend.alert_deliveries`;
    expect(row?.deliveries).toBe(20);
  });

  it("that is handing an alert over keeps another from telling a quiet channel the same", async () => {
    await report(sql, "the same");
    await sql`update spend.alerts set period_start = period_start - interval '1 hour'`;
    await withSessions(sql, 1, async (a) => {
      await a.sql`begin`;
      expect(await claim(a.sql, 1, 60)).toHaveLength(1);
      await report(sql, "the same");
      expect(await atOnce(sql, (session) => claim(session, 1, 60))).toEqual([]);
      await a.sql`commit`;
    });
    expect(await claim(sql, 1, 60)).toEqual([]);
  });

  it("beside nine others gets none that another has: 400 deliveries to rows and to the environment's channel are each claimed once", async () => {
    for (let n = 0; n < 10; n++) {
      await report(sql, `round ${n}`);
      await sql`
        insert into spend.alerts (tenant_id, kind, subject, period_start, facts)
        select ${tenantId}, 'unusual_spend', ${`${n} `} || s, now(), '{}' from generate_series(1, 19) as s`;
    }
    await sql`select spend.save_alert_channel(${tenantId}, 'email', 'mail', 'a@example.com')`;
    await sql`select spend.save_alert_channel(null, 'email', 'mail', 'a@example.com', kinds => '{settle_failed}')`;
    await claim(sql, 0);
    const claimed = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const mine = [];
        for (;;) {
          const batch = await claim(sql, 7);
          if (batch.length === 0) return mine;
          mine.push(...batch.map(({ key }) => key));
        }
      }),
    );
    const keys = claimed.flat();
    expect(keys).toHaveLength(400);
    expect(new Set(keys).size).toBe(400);
  });

  it("that dies before it commits leaves all of it to the next one", async () => {
    await report(sql, "one", "two");
    await withSessions(sql, 1, async (a) => {
      await a.sql`begin`;
      expect(await claim(a.sql)).toHaveLength(2);
      await a.sql`rollback`;
    });
    expect(subjectsOf(await claim(sql))).toEqual(["one", "two"]);
  });

  it("that dies between sending and recording leaves it to the next one after 36 s, with the same key", async () => {
    await report(sql, "one");
    const [first] = await claim(sql);
    expect(await claim(sql)).toEqual([]);
    await later(29);
    expect(await claim(sql)).toEqual([]);
    await later(7);
    const [second] = await claim(sql);
    expect(second).toEqual(first);
  });

  it("does not wait for an alert that somebody acknowledges, nor does that for a deliverer that sends", async () => {
    await report(sql, "one");
    const [alert] = await sql`select id from spend.alerts`;
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      await a.sql`select spend.acknowledge_alert(${alert?.id})`;
      await b.sql`set lock_timeout = '1s'`;
      expect(await claim(b.sql)).toEqual([]);
      await b.sql`reset lock_timeout`;
      await a.sql`commit`;
      expect(await claim(b.sql)).toEqual([]);
    });
    const [row] = await sql`select count(*)::int as deliveries from spend.alert_deliveries`;
    expect(row?.deliveries).toBe(0);
  });
});

describe("Two deliveries of one alert", () => {
  it("that end at once close it: the second waits for the first", async () => {
    await sql`select spend.save_alert_channel(null, 'email', 'mail', 'a@example.com')`;
    await report(sql, "one");
    const [first, second] = (await claim(sql)).map(({ delivery_id }) => delivery_id);
    const finished = await interleave(
      sql,
      (a) => a`select spend.finish_delivery(${first})`,
      (b) => b`select spend.finish_delivery(${second}) as is_done`,
    );
    expect(finished).toEqual([{ is_done: true }]);
    const [alert] = await sql`select delivered_at is not null as is_delivered from spend.alerts`;
    expect(alert?.is_delivered).toBe(true);
  });

  it("of which one ends while it is given up, and the other was sent: who gives up does not wait, and the alert is closed", async () => {
    await sql`select spend.save_alert_channel(null, 'email', 'mail', 'a@example.com')`;
    await report(sql, "one");
    const [sent, slow] = (await claim(sql)).map(({ delivery_id }) => delivery_id);
    await sql`select spend.finish_delivery(${sent})`;
    await sql`
      update spend.alert_deliveries set attempts = 12, next_attempt_at = now() where id = ${slow}`;
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      // As finish_delivery begins.
      await a.sql`select from spend.alerts for no key update`;
      const claiming = claim(b.sql);
      expect(await endsOrWaits(sql, b, claiming)).toBe("ended");
      expect(await claiming).toEqual([]);
      await a.sql`select spend.finish_delivery(${slow})`;
      await a.sql`commit`;
    });
    const [alert] = await sql`select delivered_at is not null as is_delivered from spend.alerts`;
    expect(alert?.is_delivered).toBe(true);
  });
});

describe("Incidents that are over", () => {
  it("are resolved once by two deliverers at once, and neither waits", async () => {
    await sql`select spend.save_alert_channel(null, 'pagerduty', 'pager', ${"0".repeat(32)})`;
    await spend(sql, 96);
    for (const { delivery_id } of await claim(sql)) {
      await sql`select spend.finish_delivery(${delivery_id})`;
    }
    await sql`update spend.cost_quotas set limit_usd = 1000 where tenant_id = ${tenantId}`;
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      expect((await claim(a.sql)).map(({ key }) => /_resolve$/.test(key))).toEqual([true, true]);
      await b.sql`set lock_timeout = '1s'`;
      expect(await claim(b.sql)).toEqual([]);
      await b.sql`reset lock_timeout`;
      await a.sql`commit`;
    });
    const [row] = await sql`
      select count(*)::int as resolved from spend.alert_deliveries where event = 'resolve'`;
    expect(row?.resolved).toBe(2);
  });

  it("whose alert retention is deleting are left to the next run, without waiting", async () => {
    await sql`select spend.save_alert_channel(null, 'pagerduty', 'pager', ${"0".repeat(32)})`;
    await spend(sql, 96);
    for (const { delivery_id } of await claim(sql)) {
      await sql`select spend.finish_delivery(${delivery_id})`;
    }
    await sql`delete from spend.cost_quotas where tenant_id = ${tenantId}`;
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      await a.sql`select from spend.alerts for update`;
      await b.sql`set lock_timeout = '1s'`;
      expect(await claim(b.sql)).toEqual([]);
      await b.sql`reset lock_timeout`;
      await a.sql`rollback`;
      expect(await claim(b.sql)).toHaveLength(2);
    });
  });
});

describe("The channels of a tenant", () => {
  const save = (session: Sql, name: string) => session`
    select spend.save_alert_channel(${tenantId}, 'email', ${name}, 'a@example.com')`;

  it("are at most twenty, also when two are added at once", async () => {
    for (let n = 0; n < 19; n++) await save(sql, `channel ${n}`);
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      await save(a.sql, "twentieth");
      const adding = save(b.sql, "another").then(
        () => "added",
        (error) => error.message,
      );
      await untilWaits(sql, b);
      await a.sql`commit`;
      expect(await adding).toBe("invalid_channel");
    });
  });

  it("have one of a name, also when it is added twice at once: the second changes the first", async () => {
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      await save(a.sql, "mail");
      const adding = save(b.sql, "mail").execute();
      await untilWaits(sql, b);
      await a.sql`commit`;
      await adding;
    });
    const [row] = await sql`select count(*)::int as channels from spend.alert_channels`;
    expect(row?.channels).toBe(1);
  });
});

describe("spend.maintain()", () => {
  it("with alerts recorded waits for no call: one that waits for such an alert goes on", async () => {
    // A quota that calls crossed together, each seeing only its own slot.
    const other = await addTenant(sql, 100, 8);
    await spend(sql, 50);
    await sql`
      update spend_private.quota_balances set spent_usd = 90, is_below_threshold = false
      where tenant_id = ${tenantId} and slot = 0`;
    await withSessions(sql, 2, async (caller, maintainer) => {
      await caller.sql`begin`;
      // A call that is under way holds its locks.
      await reserve(caller.sql, other, null, 1);
      const maintaining = maintainer.sql`select spend.maintain() as done`.execute();
      expect(await endsOrWaits(sql, maintainer, maintaining)).toBe("ended");
      const [row] = await maintaining;
      expect(row?.done).toMatchObject({ find_expiries: 0 });
      expect(Number.isInteger(row?.done.forecast_quotas)).toBe(true);
      expect(Number.isInteger(row?.done.find_unusual_spend)).toBe(true);
      await caller.sql`commit`;
    });
    await sql`
      update spend_private.quota_balances set spent_usd = case slot when 0 then 50 else 0 end where tenant_id = ${tenantId}`;
  });
});

describe("Reservations that expire", () => {
  it("in two batches at once count both, and neither waits for the other's count", async () => {
    const expired = async (usd: number) => {
      const { reservation_id } = await reserve(sql, tenantId, null, usd);
      await sql`
        update spend.reservations set created_at = now() - interval '2 hours', expires_at = now() - interval '1 hour'
        where id = ${reservation_id}`;
      return reservation_id;
    };
    const ids = [await expired(1), await expired(1)];
    const count = (session: Sql) => session`
      insert into spend_private.expiries (tenant_id, hour, reservations, usd)
      values (${tenantId}, date_trunc('hour', now(), 'UTC'), 5, 1)`;
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      await count(a.sql);
      await b.sql`set lock_timeout = '1s'`;
      const [row] = await b.sql`select spend.expire_reservations(100) as expired`;
      expect(row?.expired).toBe(ids.length);
      await b.sql`reset lock_timeout`;
      await a.sql`commit`;
    });
    const [sum] = await sql`
      select sum(reservations)::int as expired from spend_private.expiries where tenant_id = ${tenantId}`;
    expect(sum?.expired).toBe(7);
  });
});

it("Failures of one subject that are reported at once record one alert", async () => {
  await withSessions(sql, 2, async (a, b) => {
    await a.sql`begin`;
    await report(a.sql, "one");
    const reporting = b.sql`
      select spend.report_failure('settle_failed', ${tenantId}, 'one', 'It failed.') as is_new`.execute();
    await untilLockWaits(sql, 1, "spend.report_failure");
    await a.sql`commit`;
    expect(await reporting).toEqual([{ is_new: false }]);
  });
});
