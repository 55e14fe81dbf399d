import { expect, test } from "vitest";
import { joinedBytesMax } from "../../src/core/limits.ts";
import { ConnectReader } from "../../src/edge/connect-reader.ts";

test("a frame of more than any client needs is not decoded, but left to a shard to refuse", () => {
  const reader = new ConnectReader(1024);
  // PINGREQ by PINGREQ, each an object of many times its size.
  const frame = new Uint8Array(1024 + joinedBytesMax + 2);
  for (let index = 0; index < frame.length; index += 2) frame[index] = 0xc0;
  expect(reader.push(frame.buffer)).toBe("");
});
