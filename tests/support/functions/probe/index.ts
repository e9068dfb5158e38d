// A function that shows what the stack does with functions. Runs under Deno, in tests only.
declare const EdgeRuntime: { waitUntil(promise: Promise<unknown>): void };

const routes: Record<string, (request: Request) => Response | Promise<Response>> = {
  async echo(request) {
    return Response.json({
      path: new URL(request.url).pathname + new URL(request.url).search,
      method: request.method,
      headers: Object.fromEntries(request.headers),
      body: await request.text(),
    });
  },

  env() {
    const { process } = globalThis as unknown as {
      process: { env: Record<string, string | undefined> };
    };
    return Response.json({ ...process.env });
  },

  /** One line at once, the next when the test has said so at /release. */
  stream() {
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue(new TextEncoder().encode("first\n"));
        await released;
        controller.enqueue(new TextEncoder().encode("second\n"));
        controller.close();
      },
    });
    return new Response(body, {
      headers: { "content-type": "text/event-stream", "x-kept": "yes" },
    });
  },

  release() {
    release();
    return new Response(null, { status: 204 });
  },

  /** Streams for ever; prints when the client has gone. */
  endless() {
    let timer: ReturnType<typeof setInterval>;
    const body = new ReadableStream({
      start(controller) {
        timer = setInterval(() => controller.enqueue(new TextEncoder().encode("tick\n")), 20);
      },
      cancel() {
        clearInterval(timer);
        console.log("client has gone");
      },
    });
    return new Response(body);
  },

  /** Answers at once, and prints a second later. */
  background() {
    EdgeRuntime.waitUntil(
      new Promise<void>((done) => setTimeout(done, 1000)).then(() =>
        console.log("background done"),
      ),
    );
    return new Response("answered");
  },

  throws() {
    throw new Error("on purpose");
  },

  rejects() {
    Promise.reject(new Error("nobody waits for this"));
    return new Response("answered");
  },
};

let release = () => {};
const released = new Promise<void>((resolve) => {
  release = resolve;
});

export default {
  fetch(request: Request): Response | Promise<Response> {
    const route = routes[new URL(request.url).pathname.split("/")[2] ?? ""];
    return route ? route(request) : new Response("no such route", { status: 404 });
  },
};
