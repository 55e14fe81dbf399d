/** What an object that was evicted does for its first event: no more than the event needs, with thousands of sockets. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Client } from "./client.ts";
import { persistent, publishPacket, subscribePacket } from "./packets.ts";
import { TestObject } from "./test-object.ts";

let object: TestObject;
let clients: Client[];

beforeEach(async () => {
  object = new TestObject();
  clients = [];
  for (let index = 0; index < 10; index += 1) {
    const client = await object.connect(`client-${index}`, index % 2 === 0 ? persistent : {});
    client.send(subscribePacket(`device/${index}`, 1));
    await client.next("suback");
    clients.push(client);
  }
  await object.evict();
  object.instruments.socketListings = 0;
});

describe("the first event after an eviction", () => {
  test("lists no sockets when it is a PINGREQ", async () => {
    await clients[3]?.ping();
    expect(object.instruments.socketListings).toBe(0);
  });

  test("lists the sockets once when it is a PUBLISH, which finds its subscriber", async () => {
    clients[3]?.send(publishPacket("device/7", "x"));
    expect(await clients[7]?.next("publish")).toMatchObject({ topicName: "device/7" });
    expect(object.instruments.socketListings).toBe(1);
  });

  test("goes on with the life of its socket: nobody has lost a connection", async () => {
    await clients[3]?.ping();
    await object.advance(60);
    for (const client of clients) await client.ping();
    expect(clients.filter(({ isClosed }) => isClosed)).toEqual([]);
  });

  test("is a close of the last socket, whose session is kept", async () => {
    for (const client of clients.slice(1)) {
      client.send({ type: "disconnect", reasonCode: 0 });
      await client.closed;
    }
    await object.evict();
    clients[0]?.send({ type: "disconnect", reasonCode: 0 });
    await clients[0]?.closed;
    const publisher = await object.connect("publisher");
    publisher.send(publishPacket("device/0", "x", { qos: 1 }));
    expect(await publisher.next("puback")).toMatchObject({ reasonCode: 0 });
  });
});
