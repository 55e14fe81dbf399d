import { describe, expect, test } from "vitest";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

describe("a socket without CONNECT", () => {
  /** One whose upgrade request says for which shard it is; the others wait in the Worker. */
  function opened(shard: Harness): SimulatedClient {
    return new SimulatedClient(shard, { clientId: "one", clientIdHint: "one" }).open();
  }

  test("is closed after 10 s, without a word and without a row", () => {
    const shard = new Harness();
    const client = opened(shard);
    shard.advance(9999);
    expect(client.isConnected).toBe(true);
    shard.advance(1);
    expect(client.isConnected).toBe(false);
    expect(client.inbox).toEqual([]);
    expect(shard.rowsWritten).toBe(0);
  });

  test("keeps the shard awake no longer than that", () => {
    const shard = new Harness();
    opened(shard);
    expect(shard.isAwake).toBe(true);
    shard.advance(10_000);
    expect(shard.isAwake).toBe(false);
  });

  test("that dribbles bytes is closed all the same", () => {
    const shard = new Harness();
    const client = opened(shard);
    for (let second = 0; second < 9; second += 1) {
      shard.advance(1000);
      shard.receive(client.connectionId, [], { unfinishedBytes: 64 });
    }
    shard.advance(1000);
    expect(client.isConnected).toBe(false);
  });

  test("that sends CONNECT in time is no longer watched", () => {
    const shard = new Harness();
    const client = opened(shard);
    shard.advance(9000);
    client.connect();
    expect(shard.isAwake).toBe(false);
    shard.advance(100_000);
    expect(client.isConnected).toBe(true);
  });
});

describe("a packet that is not completed", () => {
  test("ends the connection after 10 s, with 0x81 and the Will", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("will");
    const client = SimulatedClient.connected(shard, { will: willMessage("will") });
    shard.receive(client.connectionId, [], { unfinishedBytes: 64 });
    shard.advance(9999);
    expect(client.isConnected).toBe(true);
    shard.advance(1);
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.MalformedPacket);
    expect(client.isConnected).toBe(false);
    expect(listener.payloads).toEqual(["will"]);
  });

  test("has its time from its first byte, however many more come", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    for (let second = 0; second < 10; second += 1) {
      shard.receive(client.connectionId, [], { unfinishedBytes: 64 });
      shard.advance(1000);
    }
    expect(client.isConnected).toBe(false);
  });

  test("that is completed in time ends nothing; the next one has its own time", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    shard.receive(client.connectionId, [], { unfinishedBytes: 64 });
    shard.advance(9000);
    shard.receive(client.connectionId, [{ type: "pingreq" }], { unfinishedBytes: 64 });
    shard.advance(9000);
    expect(client.isConnected).toBe(true);
    shard.receive(client.connectionId, [{ type: "pingreq" }]);
    expect(shard.isAwake).toBe(false);
  });

  test("writes no row", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    shard.receive(client.connectionId, [], { unfinishedBytes: 64 });
    shard.advance(10_000);
    expect(shard.rowsWritten).toBe(0);
  });
});

describe("messages that wait in memory", () => {
  function waiting() {
    const shard = new Harness();
    const client = new SimulatedClient(shard, { acks: "manual", receiveMaximum: 1 });
    // The first row that a shard writes brings one about the shard itself along.
    client.connect({ will: willMessage("will") }).disconnect();
    client.connect().subscribe("a", 2);
    const publisher = SimulatedClient.connected(shard);
    const rows = shard.rowsWritten;
    for (const payload of ["1", "2", "3"]) publisher.publish("a", payload, { qos: 1 });
    return { shard, client, publisher, rows };
  }

  test("keep the shard awake and cost no row for 30 s, then they move to the log in one row", () => {
    const { shard, rows } = waiting();
    shard.advance(29_999);
    expect(shard.isAwake).toBe(true);
    expect(shard.rowsWritten).toBe(rows);
    shard.advance(1);
    expect(shard.rowsWritten).toBe(rows + 1);
    expect(shard.isAwake).toBe(false);
  });

  test("let the shard sleep as soon as the client has taken them", () => {
    const { shard, client, rows } = waiting();
    client.acks = "auto";
    client.acknowledge(client.last("publish"));
    expect(client.payloads).toEqual(["1", "2", "3"]);
    expect(shard.isAwake).toBe(false);
    shard.advance(60_000);
    expect(shard.rowsWritten).toBe(rows);
  });

  test("let the shard sleep when the client is gone", () => {
    const { shard, client } = waiting();
    const home = shard.shardOfClient(client.clientId);
    const { rowsWritten } = home;
    client.lose();
    shard.advance(60_000);
    expect(shard.isAwake).toBe(false);
    expect(home.rowsWritten).toBe(rowsWritten);
  });

  test("come in order when they have moved to the log, with those that follow; then memory takes over again", () => {
    const { shard, client, publisher } = waiting();
    shard.advance(30_000);
    publisher.publish("a", "4", { qos: 2 });
    client.acks = "auto";
    client.acknowledge(client.last("publish"));
    expect(client.payloads).toEqual(["1", "2", "3", "4"]);
    expect(shard.segmentCount).toBe(0);
    const rows = shard.rowsWritten;
    publisher.publish("a", "5", { qos: 1 });
    expect(shard.rowsWritten).toBe(rows);
  });

  test("and have moved to the log end with the connection, and so does their place in it", () => {
    const { shard, client } = waiting();
    shard.advance(30_000);
    client.lose();
    expect(shard.segmentCount).toBe(0);
    client.connect();
    expect(client.payloads).toEqual(["1"]);
  });
});
