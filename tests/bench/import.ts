// Runs under Deno: imports what its arguments name, and prints what that took: time, and processor time of all threads,
// in milliseconds; the memory of the process afterwards, in bytes.
declare const Deno: {
  args: string[];
  exit(code: number): never;
  memoryUsage(): { rss: number };
  readDirSync(path: string): Iterable<{ name: string }>;
  readTextFileSync(path: string): string;
};

function processorTime(): number {
  const threads = [...Deno.readDirSync("/proc/self/task")];
  return threads.reduce((sum, { name }) => {
    const [nanoseconds] = Deno.readTextFileSync(`/proc/self/task/${name}/schedstat`).split(" ");
    return sum + Number(nanoseconds) / 1e6;
  }, 0);
}

const before = { time: performance.now(), processor: processorTime() };
for (const specifier of Deno.args) await import(specifier);
const time = performance.now() - before.time;
const processor = processorTime() - before.processor;
console.log(JSON.stringify({ time, processor, memory: Deno.memoryUsage().rss }));
// What a function begins at its start (it may ask the database something) is not waited for.
Deno.exit(0);
