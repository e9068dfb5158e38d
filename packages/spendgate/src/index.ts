// spendgate: the gate, its errors, its types.
export { type ErrorCode, type Issue, SpendgateError } from "../../../functions/_shared/errors.ts";
export { createGate } from "./gate.ts";
export type {
  Booking,
  CallRequest,
  Gate,
  GateOptions,
  QuotaDetails,
  Reservation,
  Spender,
  Spent,
  Usage,
} from "./types.ts";
