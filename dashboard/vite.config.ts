import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  // Relative: the same build works below any path of any host.
  base: "./",
  plugins: [react(), tailwindcss()],
  build: {
    target: "es2022",
    manifest: true,
    chunkSizeWarningLimit: 700,
    rolldownOptions: { input: ["index.html", "example.html"] },
  },
});
