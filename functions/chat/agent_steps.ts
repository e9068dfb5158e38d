// The spans of an agent's steps: one call of the model each, with the tools that it uses.
import type { RequestMetering } from "../_shared/gate/metering.ts";
import { SPANS } from "../_shared/runtime/telemetry/names.ts";
import { OpenSpan } from "../_shared/runtime/telemetry/spans.ts";

export class AgentSteps {
  /** What the calls and tools of a step are given: their spans hang in its own. */
  readonly metering: RequestMetering;
  readonly #run: RequestMetering["trace"];
  #step: OpenSpan | undefined;

  /** A chat without tools has one step, which is all of it. */
  constructor(
    metering: RequestMetering,
    readonly isAgent: boolean,
  ) {
    this.metering = { ...metering };
    this.#run = metering.trace;
  }

  begin = ({ stepNumber }: { stepNumber: number }): void => {
    if (!this.isAgent) return;
    this.end();
    const attributes = { step: stepNumber + 1, task: this.metering.task };
    this.#step = new OpenSpan(SPANS.step, { attributes, parent: this.#run });
    this.metering.trace = this.#step.inside;
  };

  end(error?: unknown): void {
    if (error !== undefined) this.#step?.fail(error);
    this.#step?.end();
    this.#step = undefined;
    this.metering.trace = this.#run;
  }
}
