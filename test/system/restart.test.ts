import { describe, expect, test } from "vitest";
import { crash, leaveSubscription, receiveAll, resume, useCrashableBrokers } from "../support/crash.ts";
import {
  connectPersistentRaw,
  connectRaw,
  nextAck,
  publishExactlyOnceRaw,
  publishRaw,
  receiveRaw,
  subscribeRaw,
} from "../support/raw-session.ts";
import { isPeer } from "../support/system-broker.ts";
import { unique } from "../support/unique.ts";

const startBroker = useCrashableBrokers();

describe.skipIf(isPeer)("A publisher at QoS 2, when the broker is killed and starts again", () => {
  const MESSAGE_ID = 7;

  test("[MQTT-4.3.3-11] after PUBREC: PUBREL completes the flow, and the message comes once", async () => {
    const broker = await startBroker();
    const topic = unique("flow");
    const sleeperId = await leaveSubscription(broker.url, topic);
    const publisherId = unique("publisher");
    const { client } = await connectPersistentRaw(broker.url, publisherId);
    publishRaw(client, { topic, payload: "once", qos: 2, messageId: MESSAGE_ID });
    await nextAck(client, "pubrec", MESSAGE_ID);
    await crash(broker);
    const again = await resume(broker.url, publisherId);
    again.send({ cmd: "pubrel", messageId: MESSAGE_ID });
    expect((await nextAck(again, "pubcomp", MESSAGE_ID)).reasonCode ?? 0).toBe(0);
    expect(await receiveAll(broker.url, sleeperId, topic)).toEqual(["once"]);
  });

  test("[MQTT-4.3.3-10] after PUBREC that the publisher never saw: the repeated PUBLISH is no second message", async () => {
    const broker = await startBroker();
    const topic = unique("flow");
    const sleeperId = await leaveSubscription(broker.url, topic);
    const publisherId = unique("publisher");
    const { client } = await connectPersistentRaw(broker.url, publisherId);
    publishRaw(client, { topic, payload: "once", qos: 2, messageId: MESSAGE_ID });
    await nextAck(client, "pubrec", MESSAGE_ID);
    await crash(broker);
    const again = await resume(broker.url, publisherId);
    await publishExactlyOnceRaw(again, { topic, payload: "once", messageId: MESSAGE_ID, dup: true });
    // The flow is complete: the same Packet Identifier now means a new message.
    await publishExactlyOnceRaw(again, { topic, payload: "another", messageId: MESSAGE_ID });
    expect(await receiveAll(broker.url, sleeperId, topic)).toEqual(["once", "another"]);
  });

  test("[MQTT-4.4.0-1] before PUBREC: the repeated PUBLISH comes once, stored or not", async () => {
    const broker = await startBroker();
    const topic = unique("flow");
    const sleeperId = await leaveSubscription(broker.url, topic);
    const publisherId = unique("publisher");
    const { client } = await connectPersistentRaw(broker.url, publisherId);
    publishRaw(client, { topic, payload: "once", qos: 2, messageId: MESSAGE_ID });
    await crash(broker);
    const again = await resume(broker.url, publisherId);
    await publishExactlyOnceRaw(again, { topic, payload: "once", messageId: MESSAGE_ID, dup: true });
    expect(await receiveAll(broker.url, sleeperId, topic)).toEqual(["once"]);
  });

  test.each([true, false])(
    "after PUBREL (PUBCOMP seen: %s): a repeated PUBREL is answered",
    async (isSeen) => {
      const broker = await startBroker();
      const topic = unique("flow");
      const sleeperId = await leaveSubscription(broker.url, topic);
      const publisherId = unique("publisher");
      const { client } = await connectPersistentRaw(broker.url, publisherId);
      publishRaw(client, { topic, payload: "once", qos: 2, messageId: MESSAGE_ID });
      await nextAck(client, "pubrec", MESSAGE_ID);
      client.send({ cmd: "pubrel", messageId: MESSAGE_ID });
      if (isSeen) await nextAck(client, "pubcomp", MESSAGE_ID);
      await crash(broker);
      const again = await resume(broker.url, publisherId);
      again.send({ cmd: "pubrel", messageId: MESSAGE_ID });
      const PACKET_IDENTIFIER_NOT_FOUND = 0x92;
      const { reasonCode = 0 } = await nextAck(again, "pubcomp", MESSAGE_ID);
      expect(isSeen ? [PACKET_IDENTIFIER_NOT_FOUND] : [0, PACKET_IDENTIFIER_NOT_FOUND]).toContain(reasonCode);
      expect(await receiveAll(broker.url, sleeperId, topic)).toEqual(["once"]);
    },
  );
});

describe.skipIf(isPeer)("A subscriber at QoS 2, when the broker is killed and starts again", () => {
  /** A connected session that has just got "once" and answered nothing. */
  async function receiveOnce() {
    const broker = await startBroker();
    const topic = unique("flow");
    const subscriberId = unique("subscriber");
    const { client } = await connectPersistentRaw(broker.url, subscriberId);
    await subscribeRaw(client, topic, 2);
    const { client: publisher } = await connectRaw(broker.url, { clientId: unique("publisher") });
    await publishExactlyOnceRaw(publisher, { topic, payload: "once", messageId: 1 });
    const message = await client.next("publish");
    return { broker, topic, subscriberId, client, messageId: message.messageId ?? 0 };
  }

  test("[MQTT-4.4.0-1] before PUBREC: the PUBLISH comes again, with DUP and its Packet Identifier", async () => {
    const { broker, topic, subscriberId, messageId } = await receiveOnce();
    await crash(broker);
    const again = await resume(broker.url, subscriberId);
    const repeated = await receiveRaw(again);
    expect(repeated).toMatchObject({ topic, qos: 2, messageId, dup: true });
    again.terminate();
    expect(await receiveAll(broker.url, subscriberId, topic)).toEqual([]);
  });

  test("[MQTT-4.3.3-5] between PUBREC and PUBCOMP: PUBREL comes again, the PUBLISH does not", async () => {
    const { broker, topic, subscriberId, client, messageId } = await receiveOnce();
    client.send({ cmd: "pubrec", messageId });
    await nextAck(client, "pubrel", messageId);
    await crash(broker);
    const again = await resume(broker.url, subscriberId);
    await nextAck(again, "pubrel", messageId);
    again.send({ cmd: "pubcomp", messageId });
    publishRaw(again, { topic, payload: "next", qos: 1, messageId: 1 });
    expect((await receiveRaw(again)).payload.toString()).toBe("next");
  });

  test("after PUBCOMP: the PUBLISH does not come again", async () => {
    const { broker, topic, subscriberId, client, messageId } = await receiveOnce();
    client.send({ cmd: "pubrec", messageId });
    await nextAck(client, "pubrel", messageId);
    client.send({ cmd: "pubcomp", messageId });
    await crash(broker);
    const again = await resume(broker.url, subscriberId);
    publishRaw(again, { topic, payload: "next", qos: 0 });
    const next = await again.next("publish");
    expect(next.payload.toString()).toBe("next");
  });
});
