// npm run dashboard:build: dashboard/dist, for any static host. docs/guides/dashboard.md says what to put beside it.
import { buildDashboard } from "../stack/dashboard.ts";
import { main } from "../stack/main.ts";

await main(() => buildDashboard(console.log));
console.log("dashboard/dist is what the sources make");
