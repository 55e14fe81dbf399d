import { describe, expect, test } from "vitest";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { bytesOf, SimulatedClient, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;

/** A listener that outlives resets, and a client with a Will. */
function setUp(options: ClientOptions = {}): {
  shard: Harness;
  listener: SimulatedClient;
  client: SimulatedClient;
} {
  const shard = new Harness();
  const listener = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week });
  listener.subscribe("will", 2);
  return {
    shard,
    listener,
    client: SimulatedClient.connected(shard, { will: willMessage("will"), ...options }),
  };
}

describe("the Will Message", () => {
  test("[MQTT-3.1.2-8] is published when the connection is lost", () => {
    const { listener, client } = setUp();
    client.lose();
    expect(listener.payloads).toEqual(["will"]);
  });

  test("[MQTT-3.1.2-14] [MQTT-3.1.2-15] has the QoS, RETAIN and properties that CONNECT gave it", () => {
    const properties = {
      contentType: "text",
      userProperties: [["a", "b"]],
      correlationData: bytesOf("1"),
    } as const;
    const will = willMessage("will", { qos: 2, retain: true, messageExpiryIntervalSec: 30, ...properties });
    const { shard, listener, client } = setUp({ will });
    client.lose();
    const { message, messageExpiryIntervalSec } = listener.only("publish");
    expect(message).toMatchObject({ qos: 2, retain: true, ...properties });
    expect(messageExpiryIntervalSec).toBe(30);
    expect(message).not.toHaveProperty("willDelayIntervalSec");
    expect(shard.retainedNames).toHaveLength(1);
  });

  test("[MQTT-3.14.4-3] [MQTT-3.1.2-10] is discarded by a normal DISCONNECT", () => {
    const { shard, listener, client } = setUp({ sessionExpiryIntervalSec: week });
    client.disconnect();
    shard.advance(week * 1000);
    expect(listener.payloads).toEqual([]);
  });

  test("is published after DISCONNECT with 0x04", () => {
    const { listener, client } = setUp();
    client.disconnect(ReasonCode.DisconnectWithWillMessage);
    expect(listener.payloads).toEqual(["will"]);
  });

  test("is published when the server closes the connection for an error", () => {
    const { listener, client } = setUp();
    client.send({ type: "auth", reasonCode: ReasonCode.ReAuthenticate });
    expect(listener.payloads).toEqual(["will"]);
  });

  test("is published when keep alive runs out", () => {
    const { shard, listener } = setUp({ keepAliveSec: 60 });
    shard.advance(89_999);
    expect(listener.payloads).toEqual([]);
    shard.advance(5001);
    expect(listener.payloads).toEqual(["will"]);
  });

  test("is published once", () => {
    const { shard, listener, client } = setUp({ sessionExpiryIntervalSec: 100 });
    client.lose();
    shard.reset();
    shard.advance(200_000);
    listener.connect({ cleanStart: false });
    expect(listener.payloads).toEqual(["will"]);
  });

  test("cannot be a server's message", () => {
    const { listener, client } = setUp({ will: willMessage("$SYS/forged", { retain: true }) });
    listener.subscribe("$SYS/forged");
    client.lose();
    expect(listener.payloads).toEqual([]);
  });

  test("and the row that held it go in one commit", () => {
    const { shard, client } = setUp({ will: willMessage("will", { qos: 1 }) });
    const { commits } = shard.shardOfClient(client.clientId);
    commits.length = 0;
    client.lose();
    const [commit] = commits;
    expect(commit?.sessions.get(client.clientId)).toBeUndefined();
    expect(commit?.sessions.has(client.clientId)).toBe(true);
    expect(commit?.segments).toHaveLength(1);
  });
});

describe("the Will Delay Interval", () => {
  const delayed = {
    will: willMessage("will", { qos: 1, willDelayIntervalSec: 60 }),
    sessionExpiryIntervalSec: week,
  };

  test("[MQTT-3.1.2-8] holds the Will back", () => {
    const { shard, listener, client } = setUp(delayed);
    client.lose();
    shard.advance(59_999);
    expect(listener.payloads).toEqual([]);
    shard.advance(5001);
    expect(listener.payloads).toEqual(["will"]);
  });

  test("[MQTT-3.1.3-9] a client that returns in time cancels its Will", () => {
    const { shard, listener, client } = setUp(delayed);
    client.lose();
    shard.advance(59_000);
    client.connect({ cleanStart: false });
    shard.advance(week * 1000);
    expect(listener.payloads).toEqual([]);
  });

  test("[MQTT-3.1.2-8] the end of the session ends the delay: it expires", () => {
    const { shard, listener, client } = setUp({ ...delayed, sessionExpiryIntervalSec: 20 });
    client.lose();
    shard.advance(19_999);
    expect(listener.payloads).toEqual([]);
    shard.advance(5001);
    expect(listener.payloads).toEqual(["will"]);
  });

  test("[MQTT-3.1.2-8] the end of the session ends the delay: it never had an expiry", () => {
    const { listener, client } = setUp({ ...delayed, sessionExpiryIntervalSec: 0 });
    client.lose();
    expect(listener.payloads).toEqual(["will"]);
  });

  test("[MQTT-3.1.2-8] the end of the session ends the delay: DISCONNECT ends it", () => {
    const { listener, client } = setUp(delayed);
    client.disconnect(ReasonCode.DisconnectWithWillMessage, { sessionExpiryIntervalSec: 0 });
    expect(listener.payloads).toEqual(["will"]);
  });

  test("[MQTT-3.1.2-8] the end of the session ends the delay: the client starts clean", () => {
    const { listener, client } = setUp(delayed);
    client.lose();
    client.connect({ cleanStart: true });
    expect(listener.payloads).toEqual(["will"]);
  });

  test("goes on through evictions and a reset", () => {
    const { shard, listener, client } = setUp(delayed);
    client.lose();
    shard.advance(20_000);
    shard.evict();
    shard.advance(20_000);
    shard.reset();
    shard.advance(25_000);
    listener.connect({ cleanStart: false });
    expect(listener.payloads).toEqual(["will"]);
  });
});

describe("a takeover", () => {
  test("publishes the Will of the older connection when it has no delay", () => {
    const { shard, listener } = setUp({ clientId: "one", sessionExpiryIntervalSec: week });
    SimulatedClient.connected(shard, { clientId: "one", cleanStart: false, sessionExpiryIntervalSec: week });
    expect(listener.payloads).toEqual(["will"]);
  });

  test("[MQTT-3.1.3-9] cancels a delayed Will when the session goes on", () => {
    const will = willMessage("will", { willDelayIntervalSec: 5 });
    const { shard, listener } = setUp({ clientId: "one", sessionExpiryIntervalSec: week, will });
    SimulatedClient.connected(shard, { clientId: "one", cleanStart: false, sessionExpiryIntervalSec: week });
    shard.advance(60_000);
    expect(listener.payloads).toEqual([]);
  });

  test("leaves the new connection its own Will", () => {
    const { shard, listener } = setUp({
      clientId: "one",
      sessionExpiryIntervalSec: week,
      will: willMessage("other"),
    });
    const newer = SimulatedClient.connected(shard, { clientId: "one", will: willMessage("will") });
    expect(listener.payloads).toEqual([]);
    newer.lose();
    expect(listener.payloads).toEqual(["will"]);
  });
});

describe("after a reset that cut the connections", () => {
  /** The listener is back at once; nobody has lost anything it may not lose. */
  function reset(shard: Harness, listener: SimulatedClient): void {
    shard.reset();
    shard.wake();
    listener.connect({ cleanStart: false });
  }

  test.each([0, week])(
    "the Will of a session with expiry %i waits 30 s for the client",
    (sessionExpiryIntervalSec) => {
      const { shard, listener } = setUp({ sessionExpiryIntervalSec });
      reset(shard, listener);
      shard.advance(29_999);
      expect(listener.payloads).toEqual([]);
      shard.advance(5001);
      expect(listener.payloads).toEqual(["will"]);
      expect(shard.sessionRecords).toHaveLength(sessionExpiryIntervalSec === 0 ? 1 : 2);
    },
  );

  test.each([0, week])(
    "a client with expiry %i that returns in time cancels its Will",
    (sessionExpiryIntervalSec) => {
      const { shard, listener, client } = setUp({ sessionExpiryIntervalSec });
      reset(shard, listener);
      shard.advance(25_000);
      client.connect({ cleanStart: false });
      shard.advance(120_000);
      expect(listener.payloads).toEqual([]);
      client.lose();
      expect(listener.payloads).toEqual(["will"]);
    },
  );

  test.each([0, week])("a client with expiry %i that returns before the alarm cancels its Will", (expiry) => {
    const { shard, listener, client } = setUp({ sessionExpiryIntervalSec: expiry });
    shard.reset();
    client.connect({ cleanStart: false });
    listener.connect({ cleanStart: false });
    shard.advance(120_000);
    expect(listener.payloads).toEqual([]);
  });

  test("a client that returns with Clean Start cancels its Will before and after the alarm alike", () => {
    const published = [0, 1000].map((waitMs) => {
      const { shard, listener, client } = setUp({ sessionExpiryIntervalSec: week });
      reset(shard, listener);
      if (waitMs > 0) shard.advance(waitMs);
      client.connect({ cleanStart: true });
      shard.advance(120_000);
      return listener.payloads;
    });
    expect(published).toEqual([[], []]);
  });

  test("a longer Will Delay Interval counts from the reset", () => {
    const will = willMessage("will", { willDelayIntervalSec: 90 });
    const { shard, listener } = setUp({ will, sessionExpiryIntervalSec: week });
    shard.advance(50_000);
    reset(shard, listener);
    shard.advance(89_000);
    expect(listener.payloads).toEqual([]);
    shard.advance(6000);
    expect(listener.payloads).toEqual(["will"]);
  });

  test("a second reset within the grace loses no Will", () => {
    const { shard, listener } = setUp();
    reset(shard, listener);
    shard.advance(10_000);
    reset(shard, listener);
    shard.advance(60_000);
    expect(listener.payloads).toEqual(["will"]);
  });

  test("a drain publishes no Will, and the next start gives the clients their time", () => {
    const { shard, listener, client } = setUp();
    shard.drain();
    shard.wake();
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.ServerShuttingDown);
    listener.connect({ cleanStart: false });
    shard.advance(29_000);
    expect(listener.payloads).toEqual([]);
    shard.advance(6000);
    expect(listener.payloads).toEqual(["will"]);
  });
});
