import fc from "fast-check";
import { describe, test } from "vitest";
import type { HarnessOptions } from "../harness.ts";
import { World } from "./chaos-world.ts";

type Step = readonly [name: string, work: (world: World) => void];

const index = fc.nat(3);

const publishing = fc
  .tuple(index, fc.nat(7), fc.constantFrom(0, 1, 2), fc.integer({ min: 1, max: 4 }))
  .map(([publisher, topic, qos, count]): Step => [
    `publish ${count} × QoS ${qos} by ${publisher} to ${topic}`,
    (world) => {
      for (let left = count; left > 0; left -= 1) world.publish(publisher, topic, qos as 0 | 1 | 2);
    },
  ]);

const crowding = fc.tuple(fc.nat(7), fc.constantFrom(1, 2)).map(([topic, qos]): Step => [
  `everybody publishes QoS ${qos} to ${topic} in one turn`,
  (world) =>
    world.network.joined(() => {
      for (const publisher of [0, 1, 2, 3]) world.publish(publisher, topic, qos as 1 | 2);
    }),
]);

const retaining = fc
  .tuple(index, fc.nat(7), fc.boolean())
  .map(([publisher, topic, isCleared]): Step => [
    `${isCleared ? "clear" : "retain"} by ${publisher} at ${topic}`,
    (world) => world.retain(publisher, topic, isCleared),
  ]);

const weather = fc
  .tuple(fc.constantFrom(0, 10, 30, 60, 100), fc.nat())
  .map(([chances, seed]): Step => [
    `${chances} in 100 calls are struck (${seed})`,
    (world) => world.worsen(chances, seed),
  ]);

const moving = fc
  .constantFrom(1, 100, 1_100, 3_100, 6_000, 31_000, 400_000)
  .map((ms): Step => [`advance ${ms}`, (world) => world.network.advance(ms)]);

const resetting = index.map((shard): Step => [`reset ${shard}`, (world) => world.network.resetShard(shard)]);

const evicting = index.map((shard): Step => [`evict ${shard}`, (world) => world.evict(shard)]);

const others = fc.constantFrom<Step>(
  ["reset all", (world) => world.network.reset()],
  ["come back", (world) => world.comeBack()],
  ["come back all the same", (world) => world.comeBack()],
  ["come again", (world) => world.network.repeat()],
  ["release", (world) => world.network.release()],
  ["release in reverse", (world) => world.network.release(undefined, (held) => held.toReversed())],
);

const leaving = fc.nat(20).map((who): Step => [
  `${who} leaves`,
  (world) => {
    const { clients } = world;
    const client = clients[who % clients.length];
    if (client?.isConnected) client.lose();
  },
]);

/** One whose subscriptions come and go; half of the guests have Shared Subscriptions, each of its own. */
const visiting = fc
  .tuple(index, fc.constantFrom("#", "+/x", 0, 1, 2, 3, 4, 5, 6, 7), fc.boolean())
  .map(([who, filter, isOn]): Step => [
    `guest ${who} ${isOn ? "subscribes" : "unsubscribes"} ${filter}`,
    (world) => {
      const guest = world.guests[who];
      if (guest?.isConnected !== true) return;
      const plain = typeof filter === "number" ? (world.topicNames[filter] as string) : filter;
      const topicFilter = who % 2 === 0 ? plain : `$share/guest${who}/${plain}`;
      const packetIdentifier = guest.nextIdentifier();
      const options = { noLocal: false, retainAsPublished: false, retainHandling: 2 } as const;
      const requests = [{ topicFilter, maximumQos: 2, ...options } as const];
      if (isOn) guest.send({ type: "subscribe", packetIdentifier, requests });
      else guest.send({ type: "unsubscribe", packetIdentifier, topicFilters: [topicFilter] });
    },
  ]);

const step = fc.oneof(
  { weight: 5, arbitrary: publishing },
  { weight: 2, arbitrary: crowding },
  { weight: 2, arbitrary: retaining },
  { weight: 3, arbitrary: weather },
  { weight: 4, arbitrary: moving },
  { weight: 2, arbitrary: resetting },
  { weight: 1, arbitrary: evicting },
  { weight: 4, arbitrary: others },
  { weight: 2, arbitrary: leaving },
  { weight: 3, arbitrary: visiting },
);

/** `MODEL_EFFORT=100` runs a hundred times as many histories. */
const effort = Number(process.env["MODEL_EFFORT"] ?? 1);
const seeded = process.env["MODEL_EFFORT"] === undefined ? { seed: 20_261_122 } : {};

function explore(numRuns: number, options: HarnessOptions): void {
  const steps = fc.array(step, { maxLength: 60, size: "max" });
  fc.assert(
    fc.property(steps, (history) => {
      const world = new World(options);
      for (const [, work] of history) work(world);
      world.recover();
      world.check();
    }),
    {
      numRuns: numRuns * effort,
      ...seeded,
      reporter: (details) => {
        if (!details.failed) return;
        const history = details.counterexample?.[0].map(([name]) => name).join("\n") ?? "";
        throw new Error(
          `${String(details.errorInstance)}\n\nafter ${details.numShrinks} shrinks:\n${history}`,
        );
      },
    },
  );
}

const timeout = { timeout: 60_000 * effort };

describe("Whatever clients, calls, evictions and resets do, when it is over", () => {
  test(
    "QoS 1 came, QoS 2 came once, in order; what is retained is the last; routes are those of subscriptions",
    timeout,
    () => {
      explore(250, {});
    },
  );

  test("the same holds with few flushes a second", timeout, () => {
    explore(100, { flushesPerSecMax: 2 });
  });
});
