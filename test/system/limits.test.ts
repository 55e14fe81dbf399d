/** Limits against abuse, as real clients meet them. */
import { describe, expect, test } from "vitest";
import { RawClient } from "../support/raw-client.ts";
import { connectRaw, publishRaw } from "../support/raw-session.ts";
import { unique } from "../support/unique.ts";
import { hinted, useBrokerWith } from "./shards.ts";

const broker = useBrokerWith({
  shards: 2,
  environment: {
    MESSAGES_PER_SEC_MAX: "1",
    MESSAGES_BURST_MAX: "5",
    CONNECTS_PER_MIN_PER_ADDRESS_MAX: "1",
  },
});

describe("A broker with limits", () => {
  test("disconnects who sends messages too fast, with 0x96", async () => {
    const clientId = unique("fast");
    const { client } = await connectRaw(hinted(broker.running.url, clientId), { clientId });
    for (let count = 0; count < 20; count += 1) publishRaw(client, { topic: "a", payload: "x", qos: 0 });
    expect(await client.next("disconnect")).toMatchObject({ reasonCode: 0x96 });
    expect((await client.closed()).code).toBe(1008);
  });

  test("believes no client about its address", async () => {
    const clientId = unique("liar");
    const webSocket = { headers: { "cf-connecting-ip": "192.0.2.1" } };
    for (let count = 0; count < 3; count += 1) {
      const { connack } = await connectRaw(hinted(broker.running.url, clientId), { clientId, webSocket });
      expect(connack.reasonCode).toBe(0);
    }
  });

  test.each([
    ["at a shard", () => hinted(broker.running.url, unique("idle"))],
    ["at the relay", () => broker.running.url],
  ])("closes sockets %s that say nothing, or half a CONNECT", async (_, urlOf) => {
    const silent = await RawClient.open(urlOf());
    const half = await RawClient.open(urlOf());
    half.sendBytes(Buffer.from("101f00044d", "hex"));
    expect((await half.closed(20_000)).code).toBe(1002);
    expect((await silent.closed(20_000)).code).toBe(1002);
    expect([...silent.received, ...half.received]).toEqual([]);
  });

  test.each([
    ["at a shard", () => hinted(broker.running.url, unique("large"))],
    ["at the relay", () => broker.running.url],
  ])("refuses a CONNECT %s of more than 64 KiB by its first bytes", async (_, urlOf) => {
    const client = await RawClient.open(urlOf());
    // The fixed header announces 65,534 bytes to come: 65,538 in all.
    client.sendBytes(Buffer.from("10feff03", "hex"));
    expect((await client.closed()).code).toBe(1002);
  });
});
