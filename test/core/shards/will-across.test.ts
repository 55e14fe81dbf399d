import { describe, expect, test } from "vitest";
import type { QoS } from "../../../src/core/packet.ts";
import { ReasonCode } from "../../../src/core/reason-code.ts";
import { SimulatedClient, willMessage } from "../simulated-client.ts";
import { Returning, week } from "./actors.ts";
import type { Cast } from "./scenes.ts";
import { casts } from "./scenes.ts";
import { isAtRest, Network } from "./network.ts";

interface Scene {
  readonly network: Network;
  readonly client: SimulatedClient;
  readonly subscriber: Returning;
}

function sceneOf(cast: Cast, qos: QoS, will: object = {}, options: object = {}): Scene {
  const network = new Network();
  const topicName = network.topicOn(cast.owner);
  const subscriber = new Returning(network, network.clientOn(cast.subscriber, "subscriber")).comeBack();
  subscriber.subscribe(topicName, 2);
  const client = SimulatedClient.connected(network, {
    clientId: network.clientOn(cast.publisher, "client"),
    will: willMessage(topicName, { qos, ...will }),
    ...options,
  });
  network.advance(60_000);
  network.passages = 0;
  return { network, client, subscriber };
}

describe.each(casts)("With %s, a Will", (_, cast) => {
  test.each([0, 1, 2] as const)("of QoS %i comes once when the connection is lost", (qos) => {
    const { network, client, subscriber } = sceneOf(cast, qos);
    client.lose();
    expect(subscriber.messages).toMatchObject([{ qos }]);
    network.advance(60_000);
    expect(isAtRest(network)).toBe(true);
  });

  test("does not come at a normal DISCONNECT", () => {
    const { network, client, subscriber } = sceneOf(cast, 1);
    client.disconnect();
    network.advance(600_000);
    expect(subscriber.payloads).toEqual([]);
  });

  test("waits for its delay", () => {
    const options = { sessionExpiryIntervalSec: week };
    const { network, client, subscriber } = sceneOf(cast, 1, { willDelayIntervalSec: 60 }, options);
    client.lose();
    network.advance(55_000);
    expect(subscriber.payloads).toEqual([]);
    network.advance(20_000);
    expect(subscriber.payloads).toEqual(["will"]);
  });

  test("is retained when it says so", () => {
    const { network, client } = sceneOf(cast, 1, { retain: true });
    client.lose();
    const reader = SimulatedClient.connected(network, { clientId: network.clientOn(0, "reader") });
    reader.subscribe("#", 1);
    network.advance(10_000);
    expect(reader.messages).toMatchObject([{ retain: true, qos: 1 }]);
  });

  test.each([0, 1, 2] as const)(
    "of QoS %i comes though its shard is reset with the first call, or at any call or answer",
    (qos) => {
      for (const shard of new Set([cast.publisher, cast.owner, cast.subscriber])) {
        for (let step = 1; step <= 4; step += 1) {
          const { network, client, subscriber } = sceneOf(cast, qos);
          network.rule = ({ number }) => {
            if (number !== step) return "pass";
            network.resetShard(shard);
            return "lose";
          };
          client.lose();
          network.advance(600_000);
          subscriber.comeBack();
          network.advance(600_000);
          // QoS 0 is not kept for a session whose connection the reset has cut.
          const isCut = qos === 0 && shard === cast.subscriber && network.passages >= step;
          const payloads = qos === 2 ? subscriber.payloads : [...new Set(subscriber.payloads)];
          if (!isCut) expect(payloads, `shard ${shard}, step ${step}`).toEqual(["will"]);
          expect(isAtRest(network)).toBe(true);
        }
      }
    },
  );

  test("comes after the grace when a reset cut the connection and the client stays away", () => {
    const { network, subscriber } = sceneOf(cast, 1);
    network.reset();
    subscriber.comeBack();
    network.advance(20_000);
    expect(subscriber.payloads).toEqual([]);
    // Some alarm is due within the hour, should nothing else wake the shard.
    network.advance(3_600_000);
    expect(subscriber.payloads).toEqual(["will"]);
  });

  test("does not come when a reset cut the connection and the client returns", () => {
    const { network, client, subscriber } = sceneOf(cast, 1);
    network.reset();
    subscriber.comeBack();
    client.connect();
    network.advance(600_000);
    expect(subscriber.payloads).toEqual([]);
  });
});

describe("A takeover", () => {
  test("ends the older connection, and the new one goes on with what is under way between shards", () => {
    const network = new Network();
    const clientId = network.clientOn(1, "client");
    const older = new Returning(network, clientId).comeBack();
    older.subscribe(network.topicOn(3), 1);
    network.rule = ({ batch }) => (batch.to === 2 ? "hold" : "pass");
    older.publish(network.topicOn(2), "1", { qos: 2, packetIdentifier: 7 });
    const newer = new Returning(network, clientId).comeBack();
    expect(older.last("disconnect").reasonCode).toBe(ReasonCode.SessionTakenOver);
    expect(newer.connack.sessionPresent).toBe(true);
    const packet = newer.publishPacket(network.topicOn(2), "1", { qos: 2, packetIdentifier: 7, dup: true });
    const listener = new Returning(network, network.clientOn(0, "listener")).comeBack();
    network.rule = () => "pass";
    listener.subscribe(network.topicOn(2), 2);
    newer.send(packet);
    network.release();
    network.advance(60_000);
    expect(newer.last("pubcomp").packetIdentifier).toBe(7);
    expect(listener.payloads).toEqual(["1"]);
    listener.publish(network.topicOn(3), "2", { qos: 1 });
    expect(newer.payloads).toEqual(["2"]);
    expect(older.payloads).toEqual([]);
  });

  test("by Clean Start while a SUBSCRIBE waits for an owner leaves no subscription", () => {
    const network = new Network();
    const clientId = network.clientOn(1, "client");
    const older = new Returning(network, clientId).comeBack();
    network.rule = ({ batch }) => (batch.to === 2 ? "hold" : "pass");
    expect(() => older.subscribe(network.topicOn(2), 1)).toThrow("got no suback");
    const newer = new Returning(network, clientId).connect({ cleanStart: true });
    network.rule = () => "pass";
    network.release();
    network.advance(60_000);
    expect(newer.all("suback")).toEqual([]);
    expect(network.at(2).core.routes()).toEqual([]);
    newer.publish(network.topicOn(2), "1", { qos: 1 });
    expect(newer.payloads).toEqual([]);
  });
});

describe("$SYS", () => {
  const topicName = "$SYS/broker/clients/connected";

  function clientsOn(network: Network, counts: readonly number[]): SimulatedClient[] {
    return counts.flatMap((count, shard) =>
      Array.from({ length: count }, (_, index) =>
        SimulatedClient.connected(network, { clientId: network.clientOn(shard, `c-${shard}-${index}`) }),
      ),
    );
  }

  test("counts the clients of all shards, at SUBSCRIBE and then at intervals", () => {
    const network = new Network();
    const clients = clientsOn(network, [1, 2, 3, 4]);
    const [watcher] = clients as [SimulatedClient];
    watcher.subscribe(topicName);
    expect(watcher.payloads).toEqual(["10"]);
    for (const client of clients.slice(-3)) client.disconnect();
    network.advance(60_000);
    expect(watcher.payloads.at(-1)).toBe("7");
  });

  test("counts those of the others when one shard does not answer", () => {
    const network = new Network();
    const [watcher] = clientsOn(network, [1, 2, 3, 4]) as [SimulatedClient];
    network.rule = ({ batch }) => (batch.to === 3 ? "vanish" : "pass");
    watcher.subscribe(topicName);
    network.advance(60_000);
    expect(watcher.payloads[0]).toBe("6");
  });

  test("costs no call while nobody is subscribed to it", () => {
    const network = new Network();
    const [watcher] = clientsOn(network, [1, 1, 1, 1]) as [SimulatedClient];
    watcher.subscribe(topicName);
    watcher.unsubscribe(topicName);
    network.advance(120_000);
    const before = network.callCount;
    network.advance(3_600_000);
    expect(network.callCount).toBe(before);
  });
});
