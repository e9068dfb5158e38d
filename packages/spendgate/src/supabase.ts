// What the functions' modules use of supabase-js, without the rest of it: its Realtime client needs a WebSocket, which
// Node 20 has not. The build puts this in the place of @supabase/supabase-js.
import { AuthClient } from "@supabase/auth-js";
import { PostgrestClient } from "@supabase/postgrest-js";

export { isAuthApiError, isAuthRetryableFetchError } from "@supabase/auth-js";

interface Options {
  db?: { schema: string };
  global?: { fetch?: typeof fetch };
}

class Client extends PostgrestClient {
  readonly auth: InstanceType<typeof AuthClient>;

  constructor(url: string, key: string, { db, global }: Options) {
    const headers = { apikey: key, Authorization: `Bearer ${key}` };
    super(`${url}/rest/v1`, { headers, schema: db?.schema as never, fetch: global?.fetch });
    this.auth = new AuthClient({
      url: `${url}/auth/v1`,
      headers,
      fetch: global?.fetch,
      autoRefreshToken: false,
      persistSession: false,
      detectSessionInUrl: false,
    });
  }
}

export function createClient(url: string, key: string, options: Options): Client {
  return new Client(url, key, options);
}
