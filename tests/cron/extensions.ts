// Stand-ins for what only hosted Supabase has: the interfaces of pg_net and Vault, as far as Spendgate uses them.
import type { Sql } from "postgres";
import { OWNER } from "./server.ts";

/** A call queues a request; it is sent after the transaction has committed, by a worker, which startNet() is. */
const NET = `
  create schema net;
  create table net.http_request_queue (
    id bigserial, method text not null, url text not null, headers jsonb not null, body bytea,
    timeout_milliseconds integer not null
  );
  create table net._http_response (
    id bigint, status_code integer, content text, timed_out boolean, error_msg text, created timestamptz not null default now()
  );
  create function net.http_post(
    url text, body jsonb default '{}', params jsonb default '{}',
    headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds integer default 5000
  ) returns bigint language plpgsql volatile security definer as $$
  declare
    v_type text := (select h.value from jsonb_each_text(headers) as h where lower(h.key) = 'content-type');
    v_id bigint;
  begin
    if v_type <> 'application/json' then
      raise exception 'Content-Type header must be "application/json"';
    end if;
    insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
    values ('POST', http_post.url, http_post.headers, convert_to(http_post.body::text, 'UTF8'), http_post.timeout_milliseconds)
    returning id into v_id;
    return v_id;
  end
  $$;
  grant usage on schema net to ${OWNER};`;

/** Vault encrypts; this one does not. Names are unique in both. */
const VAULT = `
  create schema vault;
  create table vault.secrets (
    id uuid primary key default gen_random_uuid(), name text, description text not null default '', secret text not null,
    created_at timestamptz not null default now(), updated_at timestamptz not null default now()
  );
  create unique index on vault.secrets (name) where name is not null;
  create view vault.decrypted_secrets as select s.*, s.secret as decrypted_secret from vault.secrets as s;
  create function vault.create_secret(
    new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null
  ) returns uuid language sql security definer set search_path = '' as $$
    insert into vault.secrets (secret, name, description) values (new_secret, new_name, new_description) returning id
  $$;
  create function vault.update_secret(
    secret_id uuid, new_secret text default null, new_name text default null, new_description text default null,
    new_key_id uuid default null
  ) returns void language sql security definer set search_path = '' as $$
    update vault.secrets as s set
      secret = coalesce(new_secret, s.secret), name = coalesce(new_name, s.name),
      description = coalesce(new_description, s.description), updated_at = now()
    where s.id = secret_id
  $$;
  revoke all on all functions in schema vault from public;
  grant usage on schema vault to ${OWNER};
  grant select, delete on vault.secrets, vault.decrypted_secrets to ${OWNER};
  grant execute on all functions in schema vault to ${OWNER};`;

export async function installVault(superuser: Sql): Promise<void> {
  await superuser.unsafe(VAULT);
}

interface Queued {
  id: string;
  method: string;
  url: string;
  headers: Record<string, string>;
  body: Buffer;
  timeout_milliseconds: number;
}

const EVERY_MS = 200;

/** Installs the stand-in for pg_net, and sends what is queued until it is stopped. */
export async function startNet(superuser: Sql): Promise<{ stop(): Promise<void> }> {
  await superuser.unsafe(NET);
  const sending = new Set<Promise<void>>();
  const stopping = new AbortController();
  const send = async ({ id, url, method, headers, body, timeout_milliseconds }: Queued) => {
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(timeout_milliseconds)]);
    let answer: { status: number | null; content: string | null; error: string | null };
    try {
      const response = await fetch(url, { method, headers, body: new Uint8Array(body), signal });
      answer = { status: response.status, content: await response.text(), error: null };
    } catch (error) {
      answer = { status: null, content: null, error: String(error) };
    }
    await superuser`
      insert into net._http_response (id, status_code, content, timed_out, error_msg)
      values (${id}, ${answer.status}, ${answer.content}, ${/Timeout/.test(answer.error ?? "")}, ${answer.error})`;
  };
  let timer: NodeJS.Timeout | undefined;
  let failure: unknown;
  const work = async (): Promise<void> => {
    for (const request of await superuser<
      Queued[]
    >`delete from net.http_request_queue returning *`) {
      const sent: Promise<void> = send(request).finally(() => sending.delete(sent));
      sending.add(sent);
    }
    if (!stopping.signal.aborted) timer = setTimeout(run, EVERY_MS);
  };
  let running = Promise.resolve();
  const run = () => {
    running = work().catch((error) => {
      failure = error;
    });
  };
  run();
  return {
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      await running;
      await Promise.all(sending);
      if (failure) throw failure;
    },
  };
}
