create function spend_private.url_host(p_url text)
returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- ASCII without blanks and backslashes, which clients read in different ways.
  v_authority text := case
    when p_url !~ '[^!-~]' and strpos(p_url, '\') = 0 and length(p_url) <= 2048
      then lower(substring(p_url from '^[Hh][Tt][Tt][Pp][Ss]?://([^/?#]+)'))
  end;
  v_host text := coalesce(
    substring(v_authority from '^(\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$'),
    -- A dot at the end is the same name.
    substring(v_authority from '^([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?(?::[0-9]{1,5})?$')
  );
begin
  return v_host;
end;
$$;
comment on function spend_private.url_host is
  'Host of a URL with the scheme http or https, in lower case, IPv6 in brackets; null for what is none, or names a user, or is written so that two clients could read two hosts.';

create function spend_private.ipv4_of(p_host text)
returns inet
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_parts text[] := string_to_array(p_host, '.');
  v_part text;
  v_digits text;
  v_base integer;
  v_value numeric;
  v_address numeric := 0;
begin
  if cardinality(v_parts) > 4 or length(p_host) > 60 then
    return null;
  end if;
  -- As browsers and fetch read it: decimal, octal after 0, hexadecimal after 0x; the last part fills the rest.
  for v_place in 1..cardinality(v_parts) loop
    v_part := v_parts[v_place];
    v_base := case when v_part like '0x%' then 16 when v_part ~ '^0.' then 8 else 10 end;
    v_digits := case v_base when 16 then substr(v_part, 3) else v_part end;
    v_value := 0;
    for v_at in 1..length(v_digits) loop
      if strpos(substr('0123456789abcdef', 1, v_base), substr(v_digits, v_at, 1)) = 0 then
        return null;
      end if;
      v_value := v_value * v_base + strpos('0123456789abcdef', substr(v_digits, v_at, 1)) - 1;
    end loop;
    if v_value >= case when v_place = cardinality(v_parts) then 256::numeric ^ (5 - v_place) else 256 end then
      return null;
    end if;
    v_address := v_address + v_value * case when v_place = cardinality(v_parts) then 1 else 256::numeric ^ (4 - v_place) end;
  end loop;
  return '0.0.0.0'::inet + v_address::bigint;
end;
$$;
comment on function spend_private.ipv4_of is
  'IPv4 address that a host is, in any spelling that clients take: 127.0.0.1, 127.1, 2130706433, 0177.0.0.1, 0x7f000001. Null when it is none.';

create function spend_private.is_private_host(p_host text)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_address inet;
begin
  if p_host like '[%' then
    begin
      v_address := btrim(p_host, '[]')::inet;
    exception
      when others then
        return true;
    end;
    -- Of what is public, not the ranges that stand for IPv4 addresses, nor documentation.
    return not v_address <<= '2000::/3'::inet
      or v_address <<= any ('{2001::/23,2001:db8::/32,2002::/16,3fff::/20}'::inet[]);
  elsif p_host ~ '(^|\.)([0-9]+|0x[0-9a-f]*)$' then
    v_address := spend_private.ipv4_of(p_host);
    return v_address is null or v_address <<= any (
      -- This network, private, carrier, loopback, link-local and metadata, documentation, benchmarks, multicast, reserved;
      -- 168.63.129.16 is Azure's metadata.
      '{0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,172.16.0.0/12,192.0.0.0/24,192.0.2.0/24,192.88.99.0/24,192.168.0.0/16,198.18.0.0/15,198.51.100.0/24,203.0.113.0/24,224.0.0.0/3,168.63.129.16/32}'::inet[]
    );
  end if;
  return strpos(p_host, '.') = 0
    or p_host ~ '\.(localhost|localdomain|local|internal|intranet|lan|home\.arpa)$';
end;
$$;
comment on function spend_private.is_private_host is
  'Whether a host (of url_host) is inside a network: a private, loopback, link-local, metadata or reserved address, or a name that only such a network knows. Names that resolve to such an address are refused by the function alerts, which resolves them.';

create function spend_private.target_problem(p_kind text, p_target text, p_may_be_private boolean)
returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_host text := spend_private.url_host(p_target);
  v_is_private boolean := spend_private.is_private_host(v_host);
begin
  return case
    when p_kind = 'pagerduty' then
      case when p_target ~ '^[A-Za-z0-9]{32}$' then null else 'the integration''s routing key: 32 letters and digits' end
    when p_kind = 'email' then
      case
        when length(p_target) <= 2000
          and p_target ~ '^ *[^\s@,;<>"()]+@[^\s@,;<>"()]+\.[^\s@,;<>"().]+ *(, *[^\s@,;<>"()]+@[^\s@,;<>"()]+\.[^\s@,;<>"().]+ *)*$'
          and p_target !~ '[[:cntrl:]]'
          then null
        else 'one or more e-mail addresses, comma separated'
      end
    when v_host is null then 'an https URL without a user name, in ASCII'
    when v_is_private and not p_may_be_private
      then 'an https URL of a public host: no private, loopback, link-local or metadata address, no localhost, *.internal or *.local'
    -- Inside a network http may be all that there is.
    when p_target !~* '^https:' and not v_is_private then 'an https URL'
  end;
end;
$$;
comment on function spend_private.target_problem is
  'What a channel''s target would have to be; null: it is right. p_may_be_private: hosts inside a network are allowed, by http too.';

create function spend_private.target_hint(p_kind text, p_target text)
returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case p_kind
    when 'email' then btrim(p_target)
    when 'pagerduty' then '…' || right(p_target, 4)
    else spend_private.url_host(p_target)
  end;
end;
$$;
comment on function spend_private.target_hint is
  'As much of a target as may be shown. The path of a URL may be a secret, as Slack''s is.';
