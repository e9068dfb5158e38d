// An E2B sandbox: its seconds are held before and booked after. Reads E2B_API_KEY.
import { createGate } from "spendgate";
import { endSandbox, openSandbox, runCode } from "spendgate/e2b";

const gate = createGate();
const [tenantId, userId] = process.argv.slice(2);
const spender = { gate, tenantId, userId, task: "report" };

const { id } = await openSandbox(spender, { conversationId: "report" });
const { stdout } = await runCode(
  spender,
  { conversationId: "report" },
  { code: "console.log(6 * 7)", language: "javascript" },
);
console.log(stdout.trim());
await endSandbox(spender, id);
