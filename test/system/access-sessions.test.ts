/** Whose a session is, as clients see it: the same on one shard and through the relay to several. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { closeAllClients, connectClient, persistent } from "../support/clients.ts";
import type { ConnectOptions, TestClient } from "../support/clients.ts";
import { IdentityService } from "../support/identity-service.ts";
import { refused } from "../support/raw-access.ts";
import { unique } from "../support/unique.ts";
import { type Broker, startBroker } from "./broker.ts";

const permissions = [{ effect: "allow", action: "all", topicFilter: "#" }];

describe.each([1, 4])("With %i shards", (shards) => {
  let service: IdentityService;
  let broker: Broker;

  beforeAll(async () => {
    service = await IdentityService.start();
    const environment = { ...service.settings, PERMISSIONS: JSON.stringify(permissions) };
    broker = await startBroker({ dataDir: ":memory:", shards, environment });
  });
  afterEach(closeAllClients);
  afterAll(async () => {
    await broker?.kill();
    service?.stop();
  });

  async function credentialOf(username: string): Promise<{ username: string; password: string }> {
    return { username, password: await service.token({ sub: username }) };
  }

  async function connectAs(username: string, options: ConnectOptions): Promise<TestClient> {
    return connectClient(broker.url, { ...options, ...(await credentialOf(username)) });
  }

  describe.each([4, 5] as const)("a session of a client of version %i", (protocolVersion) => {
    test("is refused to another user while its client is there, who notices nothing", async () => {
      const options = persistent(protocolVersion, unique("device"));
      const client = await connectAs("ann", options);
      await expect(connectAs("bob", options)).rejects.toMatchObject({
        code: protocolVersion === 5 ? 0x85 : 2,
      });
      expect(await client.subscribe("own", { qos: 1 })).toEqual([1]);
    });

    test("waits for its own user, with all that is queued in it", async () => {
      const options = persistent(protocolVersion, unique("device"));
      const topic = unique("topic");
      const client = await connectAs("ann", options);
      await client.subscribe(topic, { qos: 1 });
      await client.end();
      const publisher = await connectAs("bob", { clientId: unique("publisher") });
      await publisher.publish(topic, "for ann", { qos: 1 });
      for (const clean of [false, true]) {
        await expect(connectAs("bob", { ...options, clean })).rejects.toMatchObject({
          code: protocolVersion === 5 ? 0x85 : 2,
        });
      }
      const back = await connectAs("ann", options);
      expect(back.connack.sessionPresent).toBe(true);
      expect((await back.nextMessage()).payload).toBe("for ann");
    });
  });

  test("a refusal is CONNACK 0x85 with a reason, or return code 2", async () => {
    const clientId = unique("device");
    await connectAs("ann", persistent(5, clientId));
    const credential = await credentialOf("bob");
    const { code, reasonString } = await refused(broker.url, { clientId, ...credential });
    expect([code, reasonString]).toEqual([
      0x85,
      "The session with this Client Identifier belongs to another user",
    ]);
    for (const protocolVersion of [3, 4] as const) {
      const { bytes } = await refused(broker.url, { clientId, protocolVersion, ...credential });
      expect(bytes).toEqual(Buffer.from([0x20, 2, 0, 2]));
    }
  });
});
