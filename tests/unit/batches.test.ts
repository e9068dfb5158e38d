// Which requests go together to the database, and what each is answered.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { databaseError, unavailable } from "../../functions/_shared/database/errors.ts";
import { SpendgateError } from "../../functions/_shared/errors.ts";
import { Batches } from "../../functions/_shared/gate/batches.ts";
import { together } from "../../functions/_shared/gate/together.ts";
import { deferred } from "../../functions/_shared/runtime/deferred.ts";

/** What was sent so far; each is answered by `answer`, in any order. */
function sender() {
  const sent: { requests: number[]; answer(): Promise<void> }[] = [];
  const batches = new Batches<number, string>((requests) => {
    const { promise, resolve } = deferred<void>();
    sent.push({
      requests,
      async answer() {
        resolve();
        await settled();
      },
    });
    return requests.map((request) => promise.then(() => `answer ${request}`));
  });
  return { sent, batches, requests: () => sent.map(({ requests }) => requests) };
}
/** Until all that is resolved has gone on. */
const settled = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("Requests", () => {
  it("that come alone go at once", async () => {
    const { sent, batches, requests } = sender();
    for (const request of [1, 2]) {
      const answer = batches.ask(request);
      expect(requests().at(-1)).toEqual([request]);
      await sent.at(-1)?.answer();
      expect(await answer).toBe(`answer ${request}`);
    }
  });

  it("that come while one is under way go together when it has ended", async () => {
    const { sent, batches, requests } = sender();
    const answers = Promise.all([1, 2, 3, 4].map((request) => batches.ask(request)));
    expect(requests()).toEqual([[1]]);
    await sent[0]?.answer();
    expect(requests()).toEqual([[1], [2, 3, 4]]);
    const late = batches.ask(5);
    expect(requests()).toHaveLength(2);
    await sent[1]?.answer();
    expect(requests()).toEqual([[1], [2, 3, 4], [5]]);
    await sent[2]?.answer();
    expect(await answers).toEqual(["answer 1", "answer 2", "answer 3", "answer 4"]);
    expect(await late).toBe("answer 5");
  });

  it("go by 32 at most", async () => {
    const { sent, batches, requests } = sender();
    for (let request = 0; request <= 70; request++) void batches.ask(request);
    await sent[0]?.answer();
    expect(requests().map(({ length }) => length)).toEqual([1, 32, 32, 6]);
  });

  it("do not wait for one that hangs", async () => {
    const { batches, requests } = sender();
    for (const request of [1, 2, 3]) void batches.ask(request);
    await vi.advanceTimersByTimeAsync(1000);
    expect(requests()).toEqual([[1], [2, 3]]);
    void batches.ask(4);
    await vi.advanceTimersByTimeAsync(1000);
    expect(requests()).toEqual([[1], [2, 3], [4]]);
  });
});

describe("Requests that go together", () => {
  const one = vi.fn(async (request: number) => `one ${request}`);
  const failure = (code: string) => ({ code, message: "failed", details: null, hint: null });
  beforeEach(() => one.mockClear());

  const asked = (outcomes: (string | null)[], requests = outcomes.map((_, place) => place)) =>
    Promise.allSettled(
      together<number, { at: string }>(
        async (request) => ({ at: await one(request) }),
        async () =>
          outcomes.map((code, place) =>
            code === null ? { at: `many ${place}`, error: null } : { error: failure(code) },
          ),
      )(requests),
    );

  it("are answered each for itself", async () => {
    const [first, second, third] = await asked([null, "42501", null]);
    expect(first).toMatchObject({ status: "fulfilled", value: { at: "many 0" } });
    expect(second).toMatchObject({ status: "rejected", reason: expect.any(SpendgateError) });
    expect(third).toMatchObject({ status: "fulfilled", value: { at: "many 2" } });
    expect(one).not.toHaveBeenCalled();
  });

  it("are sent again, alone, where the batch had no lock for them", async () => {
    const [first, second] = await asked([null, "55P03"]);
    expect(first).toMatchObject({ value: { at: "many 0" } });
    expect(second).toMatchObject({ value: { at: "one 1" } });
  });

  it("fail when their answer is missing", async () => {
    const [, , third] = await asked([null, null], [0, 1, 2]);
    expect(third).toMatchObject({ reason: { code: "quota_unavailable" } });
  });

  it.each([
    ["a database that has no batches", "PGRST202"],
    ["a batch with a value that no column takes, whosever it is", "22P05"],
    ["a batch that had no lock", "55P03"],
  ])("are sent singly after %s, and together again after a while", async (_, code) => {
    const many = vi.fn(async () => {
      throw databaseError({ code, message: "refused", details: null });
    });
    const send = together<number, string>(one, many);
    expect(await Promise.all(send([1, 2]))).toEqual(["one 1", "one 2"]);
    expect(await Promise.all(send([3, 4]))).toEqual(["one 3", "one 4"]);
    expect(many).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(10_000);
    await Promise.all(send([5, 6]));
    expect(many).toHaveBeenCalledTimes(2);
  });

  it("all fail when the database gives no answer", async () => {
    const send = together<number, string>(one, async () => {
      throw unavailable("cut");
    });
    const answers = await Promise.allSettled(send([1, 2]));
    expect(answers.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(one).not.toHaveBeenCalled();
  });
});
