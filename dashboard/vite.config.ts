import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const unusedClients = fileURLToPath(new URL("unused_clients.ts", import.meta.url));

export default defineConfig({
  // Relative: the same build works below any path of any host.
  base: "./",
  plugins: [react(), tailwindcss()],
  resolve: {
    alias: [{ find: /^@supabase\/(realtime|storage|functions)-js$/, replacement: unusedClients }],
  },
  build: {
    target: "es2022",
    manifest: true,
    chunkSizeWarningLimit: 700,
    rolldownOptions: { input: ["index.html", "example.html"] },
  },
});
