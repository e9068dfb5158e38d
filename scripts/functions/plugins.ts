// What the bundles of the functions and of the package leave out.
import { dirname, join } from "node:path";
import type { Plugin } from "esbuild";
import { PROJECT } from "../stack/paths.ts";

/** Our errors are in English: zod's other languages are half of what it weighs. */
export const englishOnly: Plugin = {
  name: "english-only",
  setup({ onLoad }) {
    onLoad({ filter: /zod[\\/]v4[\\/]locales[\\/]index\.(js|cjs)$/ }, ({ path }) => ({
      contents: 'export { default as en } from "./en.js";',
      resolveDir: dirname(path),
    }));
  },
};

/** Of supabase-js the two clients that the functions use, each where it is used. */
export const usedClients: Plugin = {
  name: "used-clients",
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^@supabase\/supabase-js$/ }, () => ({
      path: join(PROJECT, "scripts/functions/supabase.ts"),
      sideEffects: false,
    }));
    // The package does not say that importing it does nothing.
    onResolve({ filter: /^@supabase\/auth-js$/ }, async ({ path, pluginData, ...options }) => {
      if (pluginData === "resolved") return undefined;
      return {
        ...(await resolve(path, { ...options, pluginData: "resolved" })),
        sideEffects: false,
      };
    });
  },
};
