import { serve } from "../_shared/http/serve.ts";
import { deliverAlerts } from "./deliver_alerts.ts";

export default serve({ name: "alerts", auth: "secret", routes: { "/": { POST: deliverAlerts } } });
