import { describe, expect, test, vi } from "vitest";
import type { AuthenticationRequest, AuthenticationStep } from "../../src/core/authentication.ts";
import type { Input } from "../../src/core/input.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import type { Authenticate } from "../../src/shard/authentications.ts";
import { Authentications } from "../../src/shard/authentications.ts";

const request: AuthenticationRequest = { type: "password", clientId: "one", username: "ann" };

/** What becomes of two questions of a shard. */
async function answersOf(authenticate: Authenticate): Promise<Input[]> {
  const inputs: Input[] = [];
  const authentications = new Authentications(authenticate, (input) => inputs.push(input));
  for (const attempt of [1, 2]) {
    authentications.ask({ type: "authenticate", connectionId: "c", attempt, request });
  }
  expect(inputs).toEqual([]);
  await vi.waitUntil(() => inputs.length === 2);
  return inputs;
}

function answered(attempt: number, step: unknown): unknown {
  return { type: "authenticated", connectionId: "c", attempt, step };
}

describe("questions about credentials", () => {
  test("are answered each under its own number, in whatever order", async () => {
    const answers: ((step: AuthenticationStep) => void)[] = [];
    const step = (text: string): AuthenticationStep => ({
      type: "failure",
      reasonCode: ReasonCode.NotAuthorized,
      reasonString: text,
    });
    const found = answersOf((asked) => {
      expect(asked).toBe(request);
      return new Promise((resolve) => answers.push(resolve));
    });
    await vi.waitUntil(() => answers.length === 2);
    answers[1]?.(step("second"));
    answers[0]?.(step("first"));
    expect(await found).toEqual([answered(2, step("second")), answered(1, step("first"))]);
  });

  test.each<[string, Authenticate]>([
    ["fails", () => Promise.reject(new Error("no connection"))],
    [
      "throws",
      () => {
        throw new Error("a defect");
      },
    ],
  ])("are refused with 0x88 when who is asked %s", async (_, authenticate) => {
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    const failed = { type: "failure", reasonCode: ReasonCode.ServerUnavailable };
    expect(await answersOf(authenticate)).toMatchObject([answered(1, failed), answered(2, failed)]);
    expect(log).toHaveBeenCalledTimes(2);
    log.mockRestore();
  });
});
