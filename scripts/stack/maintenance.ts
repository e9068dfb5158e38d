// What a scheduler does on hosted Supabase: maintenance, and the delivery of alerts.

const EVERY_MS = 10_000;
const TIMEOUT_MS = 60_000;

export interface Maintenance {
  stop(): Promise<void>;
}

export interface MaintenanceOptions {
  /** Origin of the API. */
  url: string;
  secretKey: string;
  /** Names of functions that are called. */
  functions: string[];
  onLog: (line: string) => void;
}

/** Calls the functions now and every ten seconds, one after the other. */
export function startMaintenance(options: MaintenanceOptions): Maintenance {
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const run = async () => {
    for (const name of options.functions) {
      await call(name, options, stopping.signal).catch((error) => {
        if (!stopping.signal.aborted) options.onLog(`${name} failed: ${error.message}`);
      });
    }
    if (!stopping.signal.aborted) timer = setTimeout(run, EVERY_MS);
  };
  const first = run();
  return {
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      await first;
    },
  };
}

async function call(
  name: string,
  { url, secretKey }: MaintenanceOptions,
  stopped: AbortSignal,
): Promise<void> {
  const response = await fetch(`${url}/functions/v1/${name}`, {
    method: "POST",
    headers: { apikey: secretKey },
    signal: AbortSignal.any([stopped, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  const body = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${body}`);
}
