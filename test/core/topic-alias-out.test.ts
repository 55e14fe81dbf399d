import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { publishSizeBytes } from "../../src/codec/index.ts";
import type { ReceivedPublish } from "./harness.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { SimulatedClient, textOf } from "./simulated-client.ts";

const week = 7 * 24 * 3600;

function setUp(options: ClientOptions = {}, limits: object = {}) {
  const shard = new Harness({ limits });
  const client = SimulatedClient.connected(shard, { topicAliasMaximum: 10, ...options });
  client.subscribe("#", 2);
  const publisher = SimulatedClient.connected(shard);
  return { shard, client, publisher };
}

/** How a PUBLISH names its topic: by name, by alias, or by both. */
function nameOf({ message, topicAlias, omitTopicName }: ReceivedPublish): string {
  const name = omitTopicName ? "" : message.topicName;
  return topicAlias === undefined ? name : `${name}=${topicAlias}`;
}

function namesOf(client: SimulatedClient): string[] {
  return client.all("publish").map(nameOf);
}

/** What a client makes of what it is sent: it has no more to go by than names and aliases. */
class AliasTable {
  readonly #maximum: number;
  readonly #names = new Map<number, string>();

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  topicNameOf(publish: ReceivedPublish): string {
    const { topicAlias } = publish;
    const sentName = publish.omitTopicName ? "" : publish.message.topicName;
    if (topicAlias === undefined) {
      if (sentName === "") throw new Error("neither a Topic Name nor an alias");
      return sentName;
    }
    if (topicAlias < 1 || topicAlias > this.#maximum) throw new Error(`alias ${topicAlias} is not allowed`);
    if (sentName !== "") this.#names.set(topicAlias, sentName);
    const topicName = this.#names.get(topicAlias);
    if (topicName === undefined) throw new Error(`alias ${topicAlias} was never set`);
    return topicName;
  }
}

describe("Topic Aliases of the server", () => {
  test("come with the Topic Name first, and then in place of it", () => {
    const { client, publisher } = setUp();
    for (const qos of [0, 1, 2] as const) publisher.publish("room/1", "", { qos });
    publisher.publish("room/2");
    publisher.publish("room/1");
    expect(namesOf(client)).toEqual(["room/1=1", "=1", "=1", "room/2=2", "=1"]);
  });

  test("[MQTT-3.1.2-27] are not sent to a client that allows none", () => {
    for (const options of [{ topicAliasMaximum: 0 }, { protocolVersion: 4 as const, topicAliasMaximum: 0 }]) {
      const { client, publisher } = setUp(options);
      publisher.publish("room/1");
      publisher.publish("room/1");
      expect(namesOf(client)).toEqual(["room/1", "room/1"]);
    }
    const shard = new Harness();
    const silent = SimulatedClient.connected(shard);
    silent.subscribe("#");
    SimulatedClient.connected(shard).publish("room/1");
    expect(namesOf(silent)).toEqual(["room/1"]);
  });

  test.each([
    { topicAliasMaximum: 2, outboundTopicAliasMaximum: 32, highest: 2 },
    { topicAliasMaximum: 0xffff, outboundTopicAliasMaximum: 3, highest: 3 },
    { topicAliasMaximum: 5, outboundTopicAliasMaximum: 0, highest: undefined },
  ])(
    "[MQTT-3.1.2-26] stay within $topicAliasMaximum of the client and $outboundTopicAliasMaximum of the server",
    ({ topicAliasMaximum, outboundTopicAliasMaximum, highest }) => {
      const { client, publisher } = setUp({ topicAliasMaximum }, { outboundTopicAliasMaximum });
      for (let index = 0; index < 10; index += 1) publisher.publish(`room/${index}`);
      const aliases = client.all("publish").map(({ topicAlias }) => topicAlias ?? 0);
      expect(Math.max(...aliases)).toBe(highest ?? 0);
    },
  );

  test("pass from the topic used least recently to a new one", () => {
    const { client, publisher } = setUp({ topicAliasMaximum: 2 });
    for (const name of ["room/1", "room/2", "room/1", "room/3", "room/1", "room/2"]) publisher.publish(name);
    expect(namesOf(client)).toEqual(["room/1=1", "room/2=2", "=1", "room/3=2", "=1", "room/2=2"]);
  });

  test("are left out for a Topic Name that is no longer than they are", () => {
    const { client, publisher } = setUp();
    publisher.publish("a/b");
    publisher.publish("a/b");
    expect(namesOf(client)).toEqual(["a/b", "a/b"]);
  });

  test("save the bytes of the Topic Name", () => {
    const { client, publisher } = setUp();
    const topicName = "building/7/floor/3/room/12/temperature";
    publisher.publish(topicName, "20");
    publisher.publish(topicName, "21");
    const [first, second] = client.all("publish").map((publish) => publishSizeBytes(publish, 5));
    expect((first ?? 0) - (second ?? 0)).toBe(topicName.length);
  });

  test("[MQTT-3.3.2-7] end with the connection: the next one sets them anew", () => {
    const { client, publisher } = setUp({ sessionExpiryIntervalSec: week });
    publisher.publish("room/1", "", { qos: 1 });
    client.lose();
    publisher.publish("room/1", "", { qos: 1 });
    client.connect({ cleanStart: false });
    publisher.publish("room/1", "", { qos: 1 });
    expect(namesOf(client)).toEqual(["room/1=1", "=1"]);
    client.lose().connect({ cleanStart: false, topicAliasMaximum: 0 });
    publisher.publish("room/1");
    expect(namesOf(client)).toEqual(["room/1"]);
  });

  test("are set anew after an eviction", () => {
    const { shard, client, publisher } = setUp({ topicAliasMaximum: 2 });
    for (const name of ["room/1", "room/2", "room/3"]) publisher.publish(name);
    client.take();
    shard.evict();
    for (const name of ["room/3", "room/1", "room/3"]) publisher.publish(name);
    expect(namesOf(client)).toEqual(["room/3=1", "room/1=2", "=1"]);
  });

  test("of one client are not those of another", () => {
    const { shard, client, publisher } = setUp();
    publisher.publish("room/1");
    const late = SimulatedClient.connected(shard, { topicAliasMaximum: 1 });
    late.subscribe("#");
    publisher.publish("room/2");
    publisher.publish("room/1");
    expect(namesOf(client)).toEqual(["room/1=1", "room/2=2", "=1"]);
    expect(namesOf(late)).toEqual(["room/2=1", "room/1=1"]);
  });

  test("come with what is sent again", () => {
    const { client, publisher } = setUp({ sessionExpiryIntervalSec: week, acks: "manual" });
    publisher.publish("room/1", "", { qos: 1 });
    publisher.publish("room/1", "", { qos: 2 });
    client.lose().connect({ cleanStart: false });
    expect(client.all("publish").map(({ dup }) => dup)).toEqual([true, true]);
    expect(namesOf(client)).toEqual(["room/1=1", "=1"]);
  });
});

describe("with the client's Maximum Packet Size, a Topic Alias", () => {
  const topicName = "room/12";

  function sizeOf(payloadLength: number): number {
    const message = { topicName, payload: new Uint8Array(payloadLength), qos: 0 as const, retain: false };
    return publishSizeBytes({ message, qos: 0, retain: false, dup: false }, 5);
  }

  test("does not make a message too large that fits without", () => {
    const { shard, client, publisher } = setUp({ maximumPacketSizeBytes: sizeOf(40) });
    publisher.publish(topicName, "x".repeat(40));
    publisher.publish(topicName, "y".repeat(40));
    expect(client.payloads).toEqual(["x".repeat(40), "y".repeat(40)]);
    expect(shard.counters.droppedTooLarge).toBe(0);
  });

  test("is not taken for set when the message that was to set it is dropped", () => {
    const { shard, client, publisher } = setUp({ maximumPacketSizeBytes: sizeOf(40) });
    publisher.publish(topicName, "x".repeat(50));
    publisher.publish(topicName, "fits");
    publisher.publish(topicName, "too");
    expect(client.payloads).toEqual(["fits", "too"]);
    expect(namesOf(client)).toEqual([`${topicName}=1`, "=1"]);
    expect(shard.counters.droppedTooLarge).toBe(1);
  });

  test("lets a message through that is too large with its Topic Name", () => {
    const { client, publisher } = setUp({ maximumPacketSizeBytes: sizeOf(40) });
    publisher.publish(topicName, "sets it");
    publisher.publish(topicName, "x".repeat(40 + topicName.length - 3));
    expect(client.messages).toHaveLength(2);
    expect(publishSizeBytes(client.last("publish"), 5)).toBe(sizeOf(40));
  });

  test("keeps the topics straight when the one that was to replace another is dropped", () => {
    const { client, publisher } = setUp({ topicAliasMaximum: 1, maximumPacketSizeBytes: sizeOf(40) });
    publisher.publish("room/1");
    publisher.publish("room/2", "x".repeat(100));
    publisher.publish("room/1");
    publisher.publish("room/2");
    expect(namesOf(client)).toEqual(["room/1=1", "=1", "room/2=1"]);
  });
});

describe("whatever is published", () => {
  const topic = fc.constantFrom(...Array.from({ length: 8 }, (_, index) => `${"level/".repeat(index)}name`));
  const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
  const publishing = fc.record({ type: fc.constant("publish" as const), topic, qos, length: fc.nat(40) });
  const other = fc.record({ type: fc.constantFrom("evict", "return", "hold", "settle", "advance") });
  const steps = fc.array(fc.oneof({ weight: 5, arbitrary: publishing }, { weight: 1, arbitrary: other }), {
    maxLength: 80,
    size: "max",
  });
  const settings = fc.record({
    topicAliasMaximum: fc.nat(5),
    outboundTopicAliasMaximum: fc.nat(5),
    maximumPacketSizeBytes: fc.constantFrom(40, 60, 1000),
    sessionExpiryIntervalSec: fc.constantFrom(0, week),
  });

  /** A client that keeps its own alias table, a new one for every connection. */
  class Reader extends SimulatedClient {
    readonly read: { readonly topicName: string; readonly payload: string }[] = [];
    table = new AliasTable(0);

    override onReceived(...[packet, protocolVersion]: Parameters<SimulatedClient["onReceived"]>): void {
      if (packet.type === "publish") {
        this.read.push({
          topicName: this.table.topicNameOf(packet),
          payload: textOf(packet.message.payload),
        });
      }
      super.onReceived(packet, protocolVersion);
    }
  }

  test("[MQTT-3.1.2-26] a client that goes by names and aliases reads the right topics", () => {
    const property = fc.property(settings, steps, ({ outboundTopicAliasMaximum, ...options }, taken) => {
      const shard = new Harness({ limits: { outboundTopicAliasMaximum } });
      const client = new Reader(shard, options);
      client.table = new AliasTable(options.topicAliasMaximum);
      client.connect().subscribe("#", 2);
      const publisher = SimulatedClient.connected(shard);
      for (const [index, step] of taken.entries()) {
        if (step.type === "publish") {
          const { topic: name, qos: sentQos, length } = step;
          publisher.publish(name, `${index} ${name} ${"x".repeat(length)}`, { qos: sentQos });
        } else if (step.type === "hold") shard.hold();
        else {
          shard.settle();
          if (step.type === "advance") shard.advance(31_000);
          else if (step.type === "evict" && !shard.isAwake) shard.evict();
          else if (step.type === "return") {
            client.lose();
            client.table = new AliasTable(options.topicAliasMaximum);
            client.connect({ cleanStart: false });
            client.subscribe("#", 2, { retainHandling: 2 });
          }
        }
      }
      shard.settle();
      for (const { topicName, payload } of client.read) expect(payload.split(" ")[1]).toBe(topicName);
      for (const publish of client.all("publish")) {
        expect(publishSizeBytes(publish, 5)).toBeLessThanOrEqual(options.maximumPacketSizeBytes);
      }
    });
    fc.assert(property, { numRuns: 500 });
  });
});
