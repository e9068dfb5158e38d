import { serve } from "../_shared/http/serve.ts";
import { runMaintenance } from "./run_maintenance.ts";

export default serve({
  name: "maintenance",
  auth: "secret",
  routes: { "/": { POST: runMaintenance } },
});
