/** What the shard does for a client that does not take what it is sent, in a runtime that says how much is unsent. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { decodeAttachment } from "../../src/shard/attachment-codec.ts";
import { publishPacket, subscribePacket, text } from "./packets.ts";
import { TestObject } from "./test-object.ts";

const mebibyte = 1024 * 1024;
/** What the runtime says of the client "slow"; the others take everything. */
let unsentBytes = 0;

beforeEach(() => {
  unsentBytes = 0;
  Object.defineProperty(WebSocket.prototype, "bufferedAmount", {
    configurable: true,
    get(this: WebSocket) {
      const attached = decodeAttachment(this.deserializeAttachment())?.attachment;
      return attached?.client?.clientId === "slow" ? unsentBytes : 0;
    },
  });
});

afterEach(() => {
  Reflect.deleteProperty(WebSocket.prototype, "bufferedAmount");
});

async function connectBoth() {
  const object = new TestObject();
  const slow = await object.connect("slow");
  slow.send(subscribePacket("a", 1));
  await slow.next("suback");
  return { object, slow, publisher: await object.connect("publisher") };
}

describe("A client that has more than 1 MiB to take", () => {
  test("gets no QoS 0 until it has taken it, and QoS 1 afterwards", async () => {
    const { object, slow, publisher } = await connectBoth();
    unsentBytes = mebibyte;
    // Only by sending something is it found out how much is unsent.
    publisher.send(publishPacket("a", "sent before"));
    await slow.next("publish");
    unsentBytes = mebibyte + 1;
    publisher.send(
      publishPacket("a", "left out"),
      publishPacket("a", "kept", { qos: 1, packetIdentifier: 1 }),
    );
    await publisher.next("puback");
    expect(slow.untaken).toEqual([]);
    unsentBytes = 0;
    // Now and then the shard looks whether there is room again.
    object.skip(1);
    expect(text((await slow.next("publish")).payload)).toBe("kept");
  });
});

describe("A client that takes nothing for 30 s", () => {
  test("is disconnected with 0x97, by a timer that is pending only while something is unsent", async () => {
    const { object, slow, publisher } = await connectBoth();
    await publisher.ping();
    unsentBytes = 1;
    publisher.send(publishPacket("a", "unsent"));
    await slow.next("publish");
    object.skip(29);
    await object.stub.fireTimer();
    expect(slow.isClosed).toBe(false);
    // It looks every 5 s.
    object.skip(5);
    await object.stub.fireTimer();
    expect((await slow.next("disconnect")).reasonCode).toBe(ReasonCode.QuotaExceeded);
  });
});

describe("A client that has more than 8 MiB to take", () => {
  test("is disconnected with 0x97 at once", async () => {
    const { slow, publisher } = await connectBoth();
    unsentBytes = 8 * mebibyte + 1;
    publisher.send(publishPacket("a", "too much"));
    expect((await slow.next("disconnect")).reasonCode).toBe(ReasonCode.QuotaExceeded);
  });
});
