/** A broker that holds as much as it may for clients that nobody knows yet. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { IdentityService } from "../support/identity-service.ts";
import { admitted, connectPacket, refused } from "../support/raw-access.ts";
import { RawClient } from "../support/raw-client.ts";
import { pingRaw } from "../support/raw-session.ts";
import { unique } from "../support/unique.ts";
import { type Broker, startBroker } from "./broker.ts";

const reasonString = "Too much is held for clients that are not admitted yet";
/** Whose credentials nobody answers for. */
const slow = { username: "slow", password: "x".repeat(60_000) };
/** Each is held for its connection and for the hook, so that fewer of them find room. */
const clientsMax = 200;

describe("With credentials that take long to check, of many clients at once", () => {
  let service: IdentityService;
  let broker: Broker;
  const waiting: RawClient[] = [];

  beforeAll(async () => {
    service = await IdentityService.start();
    service.hook.set(slow.username, "hang");
    const environment = { ...service.settings, HOOK_TIMEOUT_MS: "10000" };
    broker = await startBroker({ dataDir: ":memory:", environment });
    for (let isFull = false; !isFull && waiting.length < clientsMax;) {
      const client = await RawClient.open(broker.url);
      client.send(connectPacket(client, slow));
      client.send({ cmd: "pingreq" });
      waiting.push(client);
      // Who is refused has been told so by the time that another one, who is known, has been answered.
      const known = await admitted(`${broker.url}?token=${await service.token()}`);
      await pingRaw(known);
      known.terminate();
      isFull = client.untaken.length > 0;
    }
  });
  afterAll(async () => {
    for (const client of waiting) client.terminate();
    await broker?.kill();
    service?.stop();
  });

  test("there is room for so many, and the next one gets 0x89 or 3", async () => {
    expect(waiting.length).toBeGreaterThan(30);
    expect(waiting.length).toBeLessThan(clientsMax);
    expect(await refused(broker.url, slow)).toMatchObject({
      code: 0x89,
      reasonString,
      closed: { code: 1008, reason: reasonString },
    });
    for (const protocolVersion of [3, 4] as const) {
      const { bytes } = await refused(broker.url, { protocolVersion, ...slow });
      expect(bytes).toEqual(Buffer.from([0x20, 2, 0, 3]));
    }
  });

  test("a socket whose CONNECT does not become complete is closed", async () => {
    const sockets = await Promise.all([1, 2, 3, 4].map(() => RawClient.open(broker.url)));
    for (const client of sockets) {
      client.sendBytes(client.encode(connectPacket(client, slow)).subarray(0, 60_000));
    }
    const closed = await Promise.race(sockets.map((client) => client.closed()));
    expect(closed).toEqual({ code: 1008, reason: reasonString });
    for (const client of sockets) client.terminate();
  });

  test("a client that is known by its upgrade gets in", async () => {
    const clientId = unique("known");
    const client = await admitted(`${broker.url}?token=${await service.token()}`, { clientId });
    await pingRaw(client);
  });
});
