// Several requests in one call of the database, each answered for itself.
import { type DatabaseFailure, databaseError, isLost, unavailable } from "../database/errors.ts";

type Outcome<Answer> = { error: DatabaseFailure } | (Answer & { error: null });

/** A batch waits for no lock that its other elements do not need: this one goes alone, and waits. */
const LOCK_NOT_AVAILABLE = "55P03";

/** Milliseconds after which a database that refused a batch is sent one again: it may not know batches yet. */
const ASK_AGAIN_MS = 10_000;

/**
 * How Batches send: a lone request by `one`, several by `many`. Those go singly that the batch had no lock for, and all of
 * a batch that was refused as a whole: by what one of them says, none of the others may fail.
 */
export function together<Request, Answer>(
  one: (request: Request) => Promise<Answer>,
  many: (requests: Request[]) => Promise<Outcome<Answer>[]>,
): (requests: Request[]) => Promise<Answer>[] {
  let singlyUntil = 0;
  return (requests) => {
    if (requests.length === 1 || Date.now() < singlyUntil) return requests.map(one);
    const outcomes = many(requests).catch((error) => {
      // What may have been done is not done again: whoever asked knows how to find out.
      if (isLost(error)) throw error;
      singlyUntil = Date.now() + ASK_AGAIN_MS;
      return undefined;
    });
    return requests.map(async (request, place) => {
      const all = await outcomes;
      if (all === undefined) return one(request);
      const outcome = all[place];
      if (outcome === undefined) throw unavailable("a batch answered too few of its elements");
      if (outcome.error === null) return outcome;
      if (outcome.error.code === LOCK_NOT_AVAILABLE) return one(request);
      throw databaseError(outcome.error);
    });
  };
}
