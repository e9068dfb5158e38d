// What clients do with refusals, their own retries left as they come.
import { anthropicClients } from "../support/anthropic_clients.ts";
import { openaiClients } from "../support/openai_clients.ts";
import { tryRefusals } from "../support/refusals_matrix.ts";

tryRefusals((doorOf, model) => ({
  ...openaiClients(doorOf("openai"), model),
  ...anthropicClients(doorOf("anthropic"), model),
}));
