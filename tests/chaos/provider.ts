// A provider that fails at random: it answers, delays, reports no usage, breaks off, or refuses.
import {
  answers,
  beginStream,
  refuses,
  type Script,
  type ScriptedProvider,
  startScriptedProvider,
  textChunk,
  USAGE,
} from "../support/provider.ts";
import type { Random } from "../support/random.ts";

/** What became of a call, as the provider sees it. `refused` costs nothing, all others do. */
export type Fate = "answered" | "without usage" | "broken off" | "hung up" | "refused";

export interface ErraticProvider {
  env: Record<string, string>;
  /** Fate of each call, by the marker in its message. A marker that comes twice was called twice. */
  fates: Map<string, Fate[]>;
  stop(): Promise<void>;
}

const SCRIPTS: [Fate, Script][] = [
  ["answered", answers("Hello there, all is well", USAGE)],
  ["answered", answers("Hello there, all is well", USAGE)],
  [
    "answered",
    async (response, request) => {
      await new Promise((later) => setTimeout(later, 300));
      if (!response.destroyed) await answers("Late, but well", USAGE)(response, request);
    },
  ],
  ["without usage", answers("Hello there")],
  [
    "broken off",
    async (response, { body }) => {
      if (!body.stream) return void response.destroy();
      beginStream(response);
      for (const word of ["Hello ", "there "]) {
        response.write(textChunk(word));
        await new Promise((later) => setTimeout(later, 60));
      }
      response.destroy();
    },
  ],
  ["hung up", (response) => void setTimeout(() => response.destroy(), 50)],
  ["refused", refuses(500)],
  ["refused", refuses(429, { "retry-after": "1" })],
];

export async function startErraticProvider(random: Random): Promise<ErraticProvider> {
  const provider: ScriptedProvider = await startScriptedProvider();
  const fates = new Map<string, Fate[]>();
  provider.plays((response, request) => {
    const marker = /call ([0-9a-f-]{36})/.exec(JSON.stringify(request.body.messages))?.[1] ?? "?";
    const [fate, script] = random.pick(SCRIPTS);
    fates.set(marker, [...(fates.get(marker) ?? []), fate]);
    return script(response, request);
  });
  return { env: provider.env, fates, stop: () => provider.stop() };
}
