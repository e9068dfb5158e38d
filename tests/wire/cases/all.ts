// All cases, through the endpoints that they name.
import { endingCases, hangUpCases } from "./endings.ts";
import { meterCases } from "./meters.ts";
import { oddityCases } from "./oddities.ts";

export const ALL_CASES = [...hangUpCases, ...endingCases, ...meterCases, ...oddityCases];
