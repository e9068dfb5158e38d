// A matrix: every client of OpenAI's formats that people use, and what each of them does. What they do when they are refused
// is in clients_retries.test.ts.
import { openaiClients } from "../support/openai_clients.ts";
import { tryOpenAIClients } from "../support/openai_matrix.ts";

tryOpenAIClients(openaiClients);
