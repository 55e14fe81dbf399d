import { describe, expect, test } from "vitest";
import { SimulatedClient, willMessage, bytesOf } from "../simulated-client.ts";
import { Publisher, Returning } from "./actors.ts";
import { Network, routesOf, isAtRest } from "./network.ts";
import { Harness } from "../harness.ts";
import { encodeSession } from "../../../src/storage/record-codec.ts";

describe("review", () => {
  test("1 QoS 0 black hole", () => {
    const network = new Network();
    const topic = network.topicOn(2);
    const sub = SimulatedClient.connected(network, { clientId: network.clientOn(3, "sub") });
    sub.subscribe(topic, 0);
    const pub = SimulatedClient.connected(network, { clientId: network.clientOn(1, "pub") });
    pub.publish(topic, "before");
    network.rule = ({ batch }) => (batch.to === 2 ? "lose" : "pass");
    for (let i = 0; i < 50; i += 1) { pub.publish(topic, `down ${i}`); network.advance(100); }
    network.rule = () => "pass";
    network.advance(3_600_000);
    for (let i = 0; i < 100; i += 1) { pub.publish(topic, `after ${i}`); network.advance(60_000); }
    console.log("T1", sub.payloads);
  });

  test("2 pending bytes", () => {
    const network = new Network();
    const c = new Returning(network, network.clientOn(1, "c")).comeBack();
    const long = "x".repeat(60_000);
    network.joined(() => {
      for (let n = 0; n < 60; n += 1) {
        const topicFilter = `${network.topicOn(2 + (n % 2))}-/${n}/${long}`;
        c.send({ type: "subscribe", packetIdentifier: n + 1, requests: [{ topicFilter, maximumQos: 1, noLocal: false, retainAsPublished: false, retainHandling: 2 }] });
      }
    });
    network.advance(1000);
    const acks = c.all("suback").flatMap((p) => p.reasonCodes);
    const rec = network.sessionRecord(c.clientId)!;
    console.log("T2", acks.join(), rec.subscriptions.length, encodeSession(rec).length, network.limits.subscriptionBytesPerSessionMax);
  });

  test("3 SUBSCRIBE with several filters", () => {
    const network = new Network();
    const topics = [0, 2, 3].map((s) => network.topicOn(s));
    const pub = SimulatedClient.connected(network, { clientId: network.clientOn(1, "pub") });
    for (const t of topics) pub.publish(t, `kept ${t}`, { retain: true, qos: 1 });
    const sub = SimulatedClient.connected(network, { clientId: network.clientOn(1, "sub") });
    const start = network.nowMs;
    sub.send({ type: "subscribe", packetIdentifier: 1, requests: topics.map((topicFilter) => ({ topicFilter, maximumQos: 1 as const, noLocal: false, retainAsPublished: false, retainHandling: 0 as const })) });
    console.log("T3 at once", sub.payloads);
    for (let i = 0; i < 20; i += 1) { network.advance(1000); console.log("T3", network.nowMs - start, sub.payloads.length); if (sub.payloads.length === 3) break; }
  });

  test("4 many replays", () => {
    const network = new Network();
    const topic = network.topicOn(2);
    const pub = SimulatedClient.connected(network, { clientId: network.clientOn(0, "pub") });
    pub.publish(topic, "kept", { retain: true, qos: 1 });
    const live = network.topicOn(2, "live");
    const watcher = SimulatedClient.connected(network, { clientId: network.clientOn(1, "watcher") });
    watcher.subscribe(live, 0);
    const subs = Array.from({ length: 200 }, (_, i) => SimulatedClient.connected(network, { clientId: network.clientOn(1, `s${i}`) }));
    const start = network.nowMs;
    network.joined(() => { for (const s of subs) s.send({ type: "subscribe", packetIdentifier: 1, requests: [{ topicFilter: topic, maximumQos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }] });
    });
    for (let i = 0; i < 60; i += 1) { console.log("T4", network.nowMs - start, subs.filter((s) => s.payloads.length > 0).length); if (subs.every((s) => s.payloads.length > 0)) break; network.advance(2500); }
  });
});
