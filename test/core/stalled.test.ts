import { describe, expect, test } from "vitest";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

describe("a client that does not take what it is sent", () => {
  test("is disconnected with 0x97, and its Will is published", () => {
    const shard = new Harness();
    const witness = SimulatedClient.connected(shard);
    witness.subscribe("will");
    const client = SimulatedClient.connected(shard, { will: willMessage("will") });
    shard.tell({ type: "stalled", connectionId: client.connectionId });
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.QuotaExceeded);
    expect(client.isConnected).toBe(false);
    expect(witness.all("publish")).toHaveLength(1);
  });

  test("that is gone already changes nothing", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    const { connectionId } = client;
    client.disconnect();
    shard.tell({ type: "stalled", connectionId });
    expect(shard.sessionCount).toBe(0);
  });
});
