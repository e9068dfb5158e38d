-- What spend.maintain() does from then on.
do $$
begin
  perform spend_private.ensure_partitions();
end;
$$;
