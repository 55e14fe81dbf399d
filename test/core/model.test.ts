import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { QoS } from "../../src/core/packet.ts";
import { MemoryShardStorage } from "../../src/storage/memory-shard-storage.ts";
import { SqliteShardStorage } from "../../src/storage/sqlite-shard-storage.ts";
import { NodeSql } from "../storage/node-sql.ts";
import type { HarnessOptions } from "./harness.ts";
import { Harness } from "./harness.ts";
import type { Message, Topic } from "./model-actors.ts";
import { Publisher, Subscriber, topics } from "./model-actors.ts";

/** What was published and who is owed it. */
interface Model {
  readonly messages: Map<string, Message>;
}

class World {
  readonly shard: Harness;
  readonly publishers: Publisher[];
  readonly subscribers: Subscriber[];
  readonly #messages: Map<string, Message>;
  isHolding = false;

  constructor({ messages }: Model, options: HarnessOptions) {
    this.#messages = messages;
    this.shard = new Harness(options);
    this.publishers = [true, false].map(
      (isPersistent, index) => new Publisher(this.shard, `p${index}`, isPersistent),
    );
    this.subscribers = [
      new Subscriber(this.shard, "s0", true, messages, { a: 2, b: 1 }),
      new Subscriber(this.shard, "s1", true, messages, { a: 1, b: 2 }),
      new Subscriber(this.shard, "s2", false, messages, { a: 2, b: 2 }),
    ];
    for (const actor of [...this.publishers, ...this.subscribers]) actor.connectAs("clean");
    for (const subscriber of this.subscribers) subscriber.subscribeTo("a");
  }

  get actors(): (Publisher | Subscriber)[] {
    return [...this.publishers, ...this.subscribers];
  }

  publish(publisher: Publisher, topic: Topic, qos: QoS): void {
    const number = this.#messages.size + 1;
    const owedTo = new Set(
      this.subscribers.filter(({ subscriptions }) => subscriptions.get(topic) === "yes"),
    );
    const message: Message = {
      payload: `${number}`,
      topic,
      qos,
      publisher: publisher.clientId,
      number,
      isAcknowledged: false,
      owedTo,
    };
    this.#messages.set(message.payload, message);
    publisher.publishMessage(message);
  }

  settle(): void {
    if (!this.isHolding) return;
    this.isHolding = false;
    this.shard.settle();
  }

  /** Everybody comes, answers everything, and stays until nothing happens any more. */
  comeToRest(): void {
    this.settle();
    for (const actor of this.actors) {
      actor.acks = "auto";
      if (!actor.canTalk) actor.connectAs("again");
      actor.answer(Infinity);
    }
    this.shard.advance(60_000);
  }

  check(): void {
    for (const message of this.#messages.values()) {
      if (!message.isAcknowledged || message.qos === 0) continue;
      for (const subscriber of message.owedTo) {
        if (subscriber.countOf(message) > 0) continue;
        throw new Error(`${message.payload} of ${message.publisher} never came to ${subscriber.clientId}`);
      }
    }
    for (const publisher of this.publishers) {
      if (publisher.unacknowledgedCount > 0) throw new Error(`${publisher.clientId} lacks acknowledgements`);
    }
    for (const actor of this.actors) actor.disconnect();
    const { segmentCount } = this.shard;
    if (segmentCount > 0) throw new Error(`the log still has ${segmentCount} segments`);
  }
}

/** One step; `toString` is what fast-check prints of a failure. */
class Step implements fc.Command<Model, World> {
  readonly #name: string;
  readonly #work: (world: World) => void;

  constructor(name: string, work: (world: World) => void) {
    this.#name = name;
    this.#work = work;
  }

  check(): boolean {
    return true;
  }

  run(_model: Model, world: World): void {
    this.#work(world);
  }

  toString(): string {
    return this.#name;
  }
}

function at<Item>(items: readonly Item[], index: number): Item {
  return items[index % items.length] as Item;
}

const actorIndex = fc.nat(4);
const topic = fc.constantFrom(...topics);

const publishing = fc
  .tuple(
    fc.nat(1),
    topic,
    fc.constantFrom(0 as const, 1 as const, 2 as const),
    fc.integer({ min: 1, max: 4 }),
  )
  .map(
    ([index, name, qos, count]) =>
      new Step(`publish ${count} × QoS ${qos} by p${index} to ${name}`, (world) => {
        const publisher = at(world.publishers, index);
        if (!publisher.canTalk || !publisher.isReady || publisher.unacknowledgedCount > 40) return;
        for (let left = count; left > 0; left -= 1) world.publish(publisher, name, qos);
      }),
  );

/** The message arrives, and the network fails before the acknowledgement does. */
const shouting = fc.tuple(fc.nat(1), topic, fc.constantFrom(1 as const, 2 as const)).map(
  ([index, name, qos]) =>
    new Step(`publish QoS ${qos} by p${index} to ${name}, unanswered`, (world) => {
      const publisher = at(world.publishers, index);
      if (!publisher.canTalk || !publisher.isReady || publisher.unacknowledgedCount > 40) return;
      world.settle();
      world.shard.joined(() => {
        world.publish(publisher, name, qos);
        publisher.cutOff();
      });
    }),
);

const answering = fc.tuple(actorIndex, fc.integer({ min: 1, max: 6 })).map(
  ([index, count]) =>
    new Step(`answer ${count} by ${index}`, (world) => {
      const actor = at(world.actors, index);
      if (actor.canTalk) actor.answer(count);
    }),
);

const connecting = fc
  .tuple(
    actorIndex,
    fc.constantFrom("again" as const, "again" as const, "clean" as const),
    fc.constantFrom(1, 2, 3, 200),
  )
  .map(
    ([index, kind, receiveMaximum]) =>
      new Step(`connect ${index} ${kind}, window ${receiveMaximum}`, (world) =>
        at(world.actors, index).connectAs(kind, receiveMaximum),
      ),
  );

const leaving = fc
  .tuple(actorIndex, fc.constantFrom("disconnect" as const, "lose" as const, "cutOff" as const))
  .map(
    ([index, manner]) =>
      new Step(`${manner} ${index}`, (world) => {
        const actor = at(world.actors, index);
        if (actor.canTalk || (actor.isConnected && manner === "lose")) actor[manner]();
      }),
  );

/** A client returns in the turn in which something is published for it. */
const meeting = fc
  .tuple(fc.nat(2), topic, fc.constantFrom(1 as const, 2 as const), fc.constantFrom(1, 2, 200))
  .map(
    ([index, name, qos, receiveMaximum]) =>
      new Step(
        `s${index} returns while QoS ${qos} is published to ${name}, window ${receiveMaximum}`,
        (world) => {
          const [publisher] = world.publishers;
          const subscriber = at(world.subscribers, index);
          if (!publisher?.canTalk || !publisher.isReady || publisher.unacknowledgedCount > 40) return;
          world.settle();
          subscriber.open();
          world.shard.joined(() => {
            world.publish(publisher, name, qos);
            subscriber.connectAs("again", receiveMaximum);
            world.publish(publisher, name, qos);
          });
        },
      ),
  );

const subscribing = fc.tuple(fc.nat(2), topic, fc.boolean()).map(
  ([index, name, isOn]) =>
    new Step(`${isOn ? "subscribe" : "unsubscribe"} s${index} ${name}`, (world) => {
      const subscriber = at(world.subscribers, index);
      if (!subscriber.canTalk) return;
      if (isOn) subscriber.subscribeTo(name);
      else subscriber.unsubscribeFrom(name);
    }),
);

const holding = fc.constantFrom("hold", "settle").map(
  (name) =>
    new Step(name, (world) => {
      world.settle();
      if (name === "settle") return;
      world.isHolding = true;
      world.shard.hold();
    }),
);

const moving = fc.constantFrom(10, 1000, 31_000, 3_700_000).map(
  (ms) =>
    new Step(`advance ${ms}`, (world) => {
      world.settle();
      world.shard.advance(ms);
    }),
);

const failing = fc
  .constantFrom("evict" as const, "evict" as const, "evict" as const, "reset" as const, "drain" as const)
  .map(
    (fault) =>
      new Step(fault, (world) => {
        // A reset may come in the middle of a turn: what it brought is as if it had never been.
        if (fault !== "reset") world.settle();
        if (fault === "evict" && world.shard.isAwake) return;
        world.isHolding = false;
        world.shard[fault]();
      }),
  );

const steps = [
  publishing,
  publishing,
  shouting,
  answering,
  answering,
  answering,
  connecting,
  meeting,
  leaving,
  subscribing,
  holding,
  moving,
  failing,
];

/** `MODEL_EFFORT=100` runs a hundred times as many histories. */
const effort = Number(process.env["MODEL_EFFORT"] ?? 1);

function explore(numRuns: number, makeOptions: () => HarnessOptions): void {
  fc.assert(
    fc.property(fc.commands(steps, { maxCommands: 80, size: "max" }), (commands) => {
      let world: World | undefined;
      fc.modelRun(() => {
        const model: Model = { messages: new Map() };
        world = new World(model, makeOptions());
        return { model, real: world };
      }, commands);
      world?.comeToRest();
      world?.check();
    }),
    { numRuns: numRuns * effort },
  );
}

const timeout = { timeout: 30_000 * effort };

describe("whatever clients, evictions and resets do", () => {
  test("QoS 1 comes, QoS 2 comes once, in order and within the window, and the log empties", timeout, () => {
    explore(4000, () => ({}));
  });

  test(
    "QoS 1 comes, QoS 2 comes once, in order and within the window, and the log empties, with SQLite",
    timeout,
    () => {
      explore(500, () => {
        const database = new DatabaseSync(":memory:");
        const reopen = () => new SqliteShardStorage(new NodeSql(database));
        return { storage: reopen(), reopen };
      });
    },
  );

  test(
    "QoS 1 comes, QoS 2 comes once, in order and within the window, and the log empties, with few flushes a second",
    timeout,
    () => {
      explore(4000, () => ({ flushesPerSecMax: 1 }));
    },
  );

  test(
    "QoS 1 comes, QoS 2 comes once, in order and within the window, and the log empties, packed at every flush",
    timeout,
    () => {
      let packedCount = 0;
      explore(4000, () => {
        const storage = new MemoryShardStorage();
        const commit = storage.commit.bind(storage);
        storage.commit = (writes) => {
          packedCount += writes.segments.filter(({ fromSeq }) => fromSeq !== undefined).length;
          commit(writes);
        };
        return { storage, limits: { logSparseBytesMax: 0 } };
      });
      expect(packedCount).toBeGreaterThan(100);
    },
  );
});
