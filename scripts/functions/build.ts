// npm run functions:build: dist/functions, which `supabase functions deploy` uploads.
import { main } from "../stack/main.ts";
import { bundleFunctions } from "./bundle.ts";

await main(async () => {
  for (const { name, startBytes, bytes, gzipBytes, files } of await bundleFunctions()) {
    const sizes = [startBytes, bytes, gzipBytes].map((size) => `${Math.round(size / 1000)} kB`);
    console.log(
      `${name.padEnd(12)} ${sizes[0]} at start, ${sizes[1]} in ${files} files (${sizes[2]} compressed)`,
    );
  }
});
