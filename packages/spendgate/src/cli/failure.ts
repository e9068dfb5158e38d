/** What a person can put right: shown as one line with its remedy, without a stack trace. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly remedy?: string,
    readonly exitCode = 1,
  ) {
    super(message);
    this.name = "Failure";
  }
}

/** The command was called wrongly, or nobody is there to ask. */
export const USAGE = 2;
