// Several requests in one call of the database, each answered for itself.
import {
  type DatabaseFailure,
  databaseError,
  isUnknownFunction,
  sqlstateOf,
  unavailable,
} from "../database/errors.ts";

type Outcome<Answer> = { error: DatabaseFailure } | (Answer & { error: null });

/** A batch waits for no lock that its other elements do not need: this one goes alone, and waits. */
const LOCK_NOT_AVAILABLE = "55P03";

/**
 * How Batches send: a lone request by `one`, several by `many`; those singly that the batch had no lock for, and all where
 * the database has no such function yet.
 */
export function together<Request, Answer>(
  one: (request: Request) => Promise<Answer>,
  many: (requests: Request[]) => Promise<Outcome<Answer>[]>,
): (requests: Request[]) => Promise<Answer>[] {
  let isKnown = true;
  return (requests) => {
    if (requests.length === 1 || !isKnown) return requests.map(one);
    const outcomes = many(requests);
    return requests.map(async (request, place) => {
      try {
        return answerOf((await outcomes)[place]);
      } catch (error) {
        const code = sqlstateOf(error) ?? "";
        if (isUnknownFunction({ code })) isKnown = false;
        else if (code !== LOCK_NOT_AVAILABLE) throw error;
        return await one(request);
      }
    });
  };
}

function answerOf<Answer>(outcome: Outcome<Answer> | undefined): Answer {
  if (outcome === undefined) throw unavailable("a batch answered too few of its elements");
  if (outcome.error !== null) throw databaseError(outcome.error);
  return outcome;
}
