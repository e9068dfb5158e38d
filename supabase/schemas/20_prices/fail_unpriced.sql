create function spend_private.fail_unpriced(
  p_resource_type text,
  p_counts spend_private.usage_counts,
  p_meters text[]
)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.fail(
    'PT422', 'unpriced_product',
    jsonb_build_object(
      'resource_type', p_resource_type, 'provider', p_counts.provider, 'product', p_counts.name,
      'service_tier', p_counts.service_tier, 'meters', p_meters
    ),
    'Insert a row into spend.prices for this product, or one for product ''*'' that covers all of the provider.'
  );
end;
$$;
comment on function spend_private.fail_unpriced is
  'Raises PT422 unpriced_product: the product has no price, or these meters of it have none.';
