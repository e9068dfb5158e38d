-- The first partitions; spend.maintain() makes the later ones.
do $$
begin
  perform spend_private.ensure_partitions();
end;
$$;
