import { describe, expect, test } from "vitest";
import { byItself } from "../../../src/core/publication.ts";

describe("A message that was read with others", () => {
  const row = new Uint8Array(10_000);

  test("does not keep the whole row in memory", () => {
    const payload = row.subarray(10, 20);
    const correlationData = row.subarray(30, 32);
    const message = { topicName: "a", payload, correlationData, qos: 1, retain: false } as const;
    const copy = byItself({ message }).message;
    expect(copy).toEqual(message);
    expect(copy.payload.buffer.byteLength).toBe(10);
    expect(copy.correlationData?.buffer.byteLength).toBe(2);
  });

  test("is not copied when it is most of the row", () => {
    const publication = { message: { topicName: "a", payload: row, qos: 1, retain: false } } as const;
    expect(byItself(publication)).toBe(publication);
  });
});
