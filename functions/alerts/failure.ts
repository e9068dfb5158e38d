// Why a delivery failed, in words that give away no target and no secret: they are kept in a row that tenants read.

export interface FailureOptions {
  /** The receiver's HTTP status, or its SMTP code. */
  status?: number;
  /** Word for the log: `ECONNREFUSED`, `private_address`. */
  code?: string;
  /** Seconds that the receiver asked to be left alone. */
  retryAfter?: number | null;
  /** Sending again is in vain. */
  isFinal?: boolean;
}

export class DeliveryFailure extends Error {
  override readonly name = "DeliveryFailure";
  readonly status?: number;
  readonly code?: string;
  readonly retryAfter: number | null;
  readonly isFinal: boolean;

  constructor(message: string, { status, code, retryAfter, isFinal }: FailureOptions = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter ?? null;
    this.isFinal = isFinal ?? false;
  }
}
