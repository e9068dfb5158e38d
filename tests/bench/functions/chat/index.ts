// The function as it is, beside one that has no gate.
export { default } from "../../../../functions/chat/index.ts";
