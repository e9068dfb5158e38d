// spendgate/client: errors of Spendgate's as typed details, for browsers. It needs nothing else.
export {
  type QuotaDetails,
  readSpendgateError,
  type SpendgateErrorDetails,
  spendgateError,
} from "../../../client/errors.ts";
