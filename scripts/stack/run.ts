// What npm start and npm run db have in common: signals, progress, the way out.
import { describeFailure } from "./main.ts";

interface Running {
  failed: Promise<string>;
  stop(): Promise<void>;
}

/**
 * Starts, shows, waits for Ctrl-C, SIGTERM or the end of a part, stops, exits. A second Ctrl-C
 * does not wait.
 */
export async function runUntilStopped<T extends Running>(
  start: (report: (line: string) => void) => Promise<T>,
  show: (running: T) => void,
): Promise<never> {
  const began = Date.now();
  const seconds = () => ((Date.now() - began) / 1000).toFixed(1);
  let signals = 0;
  const interrupted = new Promise<null>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(name, () => {
        // A terminal may tell us twice of one Ctrl-C, through npm too.
        if (++signals > 2) process.exit(1);
        resolve(null);
      });
    }
  });

  let running: T | undefined;
  try {
    const starting = start((line) => console.log(`[${seconds()} s] ${line}`));
    // Interrupted while starting: what has been started is stopped as soon as it can be.
    running = await starting;
    if (signals === 0) {
      show(running);
      console.log(`started in ${seconds()} s`);
      console.log("ready");
    }
    const failure = await Promise.race([interrupted, running.failed]);
    console.log(failure === null ? "stopping" : `stopping: ${failure}`);
    await running.stop();
    process.exit(failure === null ? 0 : 1);
  } catch (error) {
    await running?.stop();
    console.error(describeFailure(error));
    process.exit(1);
  }
}
