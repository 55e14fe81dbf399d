import { afterEach, describe, expect, test } from "vitest";
import { closeAllPahoClients, PahoClient } from "../support/paho-client.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const broker = useBroker();
afterEach(closeAllPahoClients);

describe.each([
  ["3.1.1", 4],
  ["3.1", 3],
] as const)("Paho's JavaScript client at version %s", (_name, version) => {
  const connect = (role: string): Promise<PahoClient> =>
    new PahoClient(broker.url, unique(role)).connect(version);

  test.each([0, 1, 2])("publishes and receives at QoS %i", async (qos) => {
    const [publisher, subscriber] = await Promise.all([connect("publisher"), connect("subscriber")]);
    const topic = unique("paho");
    await subscriber.subscribe(topic, qos);
    await publisher.publish(topic, "héllo", qos);
    const message = await subscriber.messages.take("message");
    expect([message.destinationName, message.payloadString, message.qos]).toEqual([topic, "héllo", qos]);
  });

  test("receives retained messages, and nothing after it unsubscribed", async () => {
    const [publisher, subscriber] = await Promise.all([connect("publisher"), connect("subscriber")]);
    const root = unique("paho");
    await publisher.publish(`${root}/a`, "retained", 1, true);
    await subscriber.subscribe(`${root}/+`, 1);
    const message = await subscriber.messages.take("retained message");
    expect([message.payloadString, message.retained]).toEqual(["retained", true]);
    await subscriber.unsubscribe(`${root}/+`);
    await subscriber.subscribe(`${root}/marker`, 1);
    await publisher.publish(`${root}/a`, "unwanted", 1);
    await publisher.publish(`${root}/marker`, "marker", 1);
    expect((await subscriber.messages.take("marker")).payloadString).toBe("marker");
  });

  test("gets what was queued for its persistent session", async () => {
    const clientId = unique("sleeper");
    const topic = unique("paho");
    const sleeper = await new PahoClient(broker.url, clientId).connect(version, false);
    await sleeper.subscribe(topic, 2);
    await sleeper.disconnect();
    const publisher = await connect("publisher");
    for (const payload of ["1", "2", "3"]) await publisher.publish(topic, payload, 2);
    const returned = await new PahoClient(broker.url, clientId).connect(version, false);
    for (const payload of ["1", "2", "3"]) {
      expect((await returned.messages.take("queued message")).payloadString).toBe(payload);
    }
  });
});
