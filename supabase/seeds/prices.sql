-- Price catalogue. USD per unit_size units, as published by the providers.
insert into spend.prices (resource_type, provider, product, meter, unit_size, usd, tier_from, effective_from, note)
values
  ('llm', 'openai', 'gpt-4o', 'input_tokens', 1000000, 2.50, 0, '2024-10-02 00:00:00+00', 'https://openai.com/api/pricing')
on conflict on constraint one_price_per_moment do nothing;
