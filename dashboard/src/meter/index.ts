export { SpendMeter, type SpendMeterProps } from "./spend_meter.tsx";
export { type Spend, type SpendOptions, type SpendQuota, useSpend } from "./use_spend.ts";
