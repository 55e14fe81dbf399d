import { describe, expect, test } from "vitest";
import { connectClient, type TestClient } from "../support/clients.ts";
import type { RawClient } from "../support/raw-client.ts";
import { connectRaw, subscribeRaw, type RawConnection } from "../support/raw-session.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const broker = useBroker();
const PROTOCOL_ERROR = 0x82;
const WITH_WILL = 0x04;

/** Session Expiry Interval and Will Delay Interval are so long that nothing of this ends by itself. */
const LONG_SEC = 3600;

function returnWith(clientId: string, sessionExpiryInterval?: number, clean = false): Promise<RawConnection> {
  const properties = sessionExpiryInterval === undefined ? {} : { properties: { sessionExpiryInterval } };
  return connectRaw(broker.url, { clientId, clean, ...properties });
}

async function leave(client: RawClient, sessionExpiryInterval?: number, reasonCode = 0): Promise<void> {
  const properties = sessionExpiryInterval === undefined ? {} : { properties: { sessionExpiryInterval } };
  client.send({ cmd: "disconnect", reasonCode, ...properties });
  await client.closed();
}

describe("The Session Expiry Interval", () => {
  test("0 on DISCONNECT ends a session that was to stay", async () => {
    const clientId = unique("leaving");
    await leave((await returnWith(clientId, LONG_SEC)).client, 0);
    expect((await returnWith(clientId, LONG_SEC)).connack.sessionPresent).toBe(false);
  });

  test("another one on DISCONNECT keeps the session and its messages", async () => {
    const clientId = unique("leaving");
    const topic = unique("expiry");
    const { client } = await returnWith(clientId, 1);
    await subscribeRaw(client, topic, 1);
    await leave(client, LONG_SEC);
    const publisher = await connectClient(broker.url, { clientId: unique("publisher"), protocolVersion: 5 });
    await publisher.publish(topic, "waits", { qos: 1 });
    const { client: returned, connack } = await returnWith(clientId, LONG_SEC);
    expect(connack.sessionPresent).toBe(true);
    expect((await returned.next("publish")).payload.toString()).toBe("waits");
  });

  test("left out on DISCONNECT stays as it was", async () => {
    const clientId = unique("leaving");
    await leave((await returnWith(clientId, LONG_SEC)).client);
    expect((await returnWith(clientId, LONG_SEC)).connack.sessionPresent).toBe(true);
  });

  test("of the last CONNECT counts: 0 or none ends a session that was resumed", async () => {
    const clientId = unique("leaving");
    await leave((await returnWith(clientId, LONG_SEC)).client);
    const resumed = await returnWith(clientId);
    expect(resumed.connack.sessionPresent).toBe(true);
    await leave(resumed.client);
    expect((await returnWith(clientId, LONG_SEC)).connack.sessionPresent).toBe(false);
  });

  test("may not be raised from 0 on DISCONNECT, which is then no good one: the Will is published", async () => {
    const willTopic = unique("will");
    const witness = await witnessOf(willTopic);
    const { client } = await connectRaw(broker.url, {
      clientId: unique("leaving"),
      will: { topic: willTopic, payload: "farewell", qos: 1, retain: false },
    });
    client.send({ cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 10 } });
    await client.closed();
    expect((await client.next("disconnect")).reasonCode).toBe(PROTOCOL_ERROR);
    expect((await witness.nextMessage()).payload).toBe("farewell");
  });
});

async function witnessOf(willTopic: string): Promise<TestClient> {
  const witness = await connectClient(broker.url, { clientId: unique("witness"), protocolVersion: 5 });
  await witness.subscribe(willTopic, { qos: 1 });
  return witness;
}

describe("A delayed Will", () => {
  interface Setting {
    readonly clientId: string;
    readonly willTopic: string;
    readonly witness: TestClient;
  }

  /** A client with a Will that is due in an hour, whose connection broke. */
  async function breakConnection(): Promise<Setting> {
    const clientId = unique("mortal");
    const willTopic = unique("will");
    const witness = await witnessOf(willTopic);
    const { client } = await connectRaw(broker.url, {
      clientId,
      clean: false,
      properties: { sessionExpiryInterval: LONG_SEC },
      will: {
        topic: willTopic,
        payload: "farewell",
        qos: 1,
        retain: false,
        properties: { willDelayInterval: LONG_SEC },
      },
    });
    client.terminate();
    await client.closed();
    return { clientId, willTopic, witness };
  }

  async function expectNothingBefore(marker: string, { willTopic, witness }: Setting): Promise<void> {
    await witness.publish(willTopic, marker, { qos: 1 });
    expect((await witness.nextMessage()).payload).toBe(marker);
  }

  test("[MQTT-3.1.3-9] is cancelled by a return: the end of the session does not publish it either", async () => {
    const setting = await breakConnection();
    await expectNothingBefore("while it is away", setting);
    const { client, connack } = await returnWith(setting.clientId, LONG_SEC);
    expect(connack.sessionPresent).toBe(true);
    await expectNothingBefore("when it is back", setting);
    // Were the Will still there, the session's end would publish it.
    await leave(client, 0);
    await expectNothingBefore("after the session", setting);
  });

  test("is published when a Clean Start ends its session", async () => {
    const setting = await breakConnection();
    const { connack } = await returnWith(setting.clientId, LONG_SEC, true);
    expect(connack.sessionPresent).toBe(false);
    expect((await setting.witness.nextMessage()).payload).toBe("farewell");
    await expectNothingBefore("only once", setting);
  });

  test("is published at once by a DISCONNECT that asks for it and ends the session", async () => {
    const clientId = unique("mortal");
    const willTopic = unique("will");
    const witness = await witnessOf(willTopic);
    const { client } = await connectRaw(broker.url, {
      clientId,
      clean: false,
      properties: { sessionExpiryInterval: LONG_SEC },
      will: {
        topic: willTopic,
        payload: "farewell",
        qos: 1,
        retain: false,
        properties: { willDelayInterval: LONG_SEC },
      },
    });
    await leave(client, 0, WITH_WILL);
    expect((await witness.nextMessage()).payload).toBe("farewell");
  });

  test("is replaced by that of the next connection", async () => {
    const setting = await breakConnection();
    const { client } = await connectRaw(broker.url, {
      clientId: setting.clientId,
      clean: false,
      properties: { sessionExpiryInterval: LONG_SEC },
      will: { topic: setting.willTopic, payload: "second farewell", qos: 1, retain: false },
    });
    client.terminate();
    expect((await setting.witness.nextMessage()).payload).toBe("second farewell");
    await expectNothingBefore("nothing else", setting);
  });
});
