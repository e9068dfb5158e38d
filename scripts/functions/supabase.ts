// What the functions use of supabase-js, without the rest of it: Realtime, Storage and the client of functions are more than
// a third of what they would read at their start, and Realtime needs a WebSocket, which Node 20 has not. The builds put
// this in the place of @supabase/supabase-js.
import { PostgrestClient } from "@supabase/postgrest-js";

export { AuthClient, isAuthApiError, isAuthRetryableFetchError } from "@supabase/auth-js";

interface Options {
  db: { schema: string };
  global: { fetch: typeof fetch };
}

export function createClient(url: string, key: string, { db, global }: Options): PostgrestClient {
  const headers = { apikey: key, Authorization: `Bearer ${key}` };
  return new PostgrestClient(`${url}/rest/v1`, {
    headers,
    schema: db.schema as never,
    fetch: global.fetch,
  });
}
