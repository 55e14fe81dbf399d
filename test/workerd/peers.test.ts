import { test, expect } from "vitest";
import { publishPacket, subscribePacket, text, responsePacket, persistent } from "./packets.ts";
import { TestNamespace } from "./test-namespace.ts";

test("exp", async () => {
  const ns = new TestNamespace(4);
  const topic = ns.home(3).topic("news");
  const sub = await ns.connectOn(2, persistent);
  sub.send(subscribePacket(topic, 2));
  await sub.next("suback");
  const pub = await ns.connectOn(1);
  pub.send(publishPacket(topic, "hi", { qos: 2 }));
  await pub.next("pubrec");
  const { payload } = await sub.next("publish");
  expect(text(payload)).toBe("hi");
  await ns.quiet();
  let t = Date.now();
  console.log(
    ns.shards.map((s) => [s.rows, s.instruments.isAwake, s.instruments.calls, s.instruments.lives]),
  );
  await ns.evict();
  console.log("evict ms", Date.now() - t);
  for (let i = 0; i < 60; i++) {
    pub.send(publishPacket(topic, "x" + i, { qos: 0 }));
    await sub.next("publish");
  }
  await ns.quiet();
  console.log(
    ns.shards.map((s) => [
      s.rows,
      s.instruments.isAwake,
      s.instruments.calls,
      s.instruments.callsInSessions,
      s.instruments.sessionsOpened,
      s.instruments.sessionsEnded,
      [...s.instruments.timers.values()].map((x) => x.delayMs),
    ]),
  );
  t = Date.now();
  await ns.evict();
  console.log("evict ms", Date.now() - t);
  console.log(
    ns.shards.map((s) => [
      s.rows,
      s.instruments.isAwake,
      s.instruments.calls,
      s.instruments.callsInSessions,
      s.instruments.sessionsOpened,
      s.instruments.sessionsEnded,
      s.instruments.lives,
    ]),
  );
  await new Promise((r) => setTimeout(r, 3000));
  console.log(
    ns.shards.map((s) => [
      s.rows,
      s.instruments.isAwake,
      s.instruments.calls,
      s.instruments.callsInSessions,
      s.instruments.sessionsOpened,
      s.instruments.sessionsEnded,
      s.instruments.lives,
    ]),
  );
});
