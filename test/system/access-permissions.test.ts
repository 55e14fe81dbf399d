/** What clients may do, as they see it: the same on one shard and through the relay to several. */
import type { IClientSubscribeOptions } from "mqtt";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { closeAllClients, connectClient } from "../support/clients.ts";
import { IdentityService } from "../support/identity-service.ts";
import { closeAllPahoClients, PahoClient } from "../support/paho-client.ts";
import { type AccessOptions, admitted, refused } from "../support/raw-access.ts";
import type { RawClient } from "../support/raw-client.ts";
import { pingRaw, publishRaw } from "../support/raw-session.ts";
import { unique } from "../support/unique.ts";
import { type Broker, startBroker } from "./broker.ts";

const permissions = [
  { effect: "deny", action: "all", topicFilter: "plant/secret/#" },
  { effect: "allow", action: "all", topicFilter: "devices/${clientId}/#" },
  { effect: "allow", action: "all", topicFilter: "tenants/${claim.tenant}/+" },
  { effect: "allow", action: "subscribe", topicFilter: "plant/+", qosMax: 1 },
  { effect: "allow", action: "publish", topicFilter: "fresh/#", retain: false },
];
const allowAll = [{ effect: "allow", action: "all", topicFilter: "#" }];

describe.each([1, 4])("With %i shards", (shards) => {
  let service: IdentityService;
  let broker: Broker;

  beforeAll(async () => {
    service = await IdentityService.start();
    const environment = {
      ...service.settings,
      PERMISSIONS: JSON.stringify(permissions),
    };
    broker = await startBroker({ dataDir: ":memory:", shards, environment });
  });
  afterEach(async () => {
    await closeAllClients();
    await closeAllPahoClients();
  });
  afterAll(async () => {
    await broker?.kill();
    service?.stop();
  });

  async function enter(
    options: AccessOptions = {},
    claims: Record<string, unknown> = {},
  ): Promise<RawClient> {
    return admitted(broker.url, { username: "ann", password: await service.token(claims), ...options });
  }

  /** SUBACK's codes. */
  async function subscribe(client: RawClient, ...filters: string[]): Promise<unknown> {
    const subscriptions = filters.map((topic) => ({ topic, qos: 2 as const }));
    client.send({ cmd: "subscribe", messageId: 1, subscriptions });
    return (await client.next("suback")).granted;
  }

  /** Somebody who gets everything on these topics. */
  async function listener(...filters: string[]): Promise<RawClient> {
    const client = await enter({}, { permissions: allowAll });
    await subscribe(client, ...filters);
    return client;
  }

  describe("a PUBLISH that is denied", () => {
    test.each([
      [1, "puback", 0x40],
      [2, "pubrec", 0x50],
    ] as const)(
      "of QoS %i gets 0x87, and the connection of version 5 stays",
      async (qos, type, firstByte) => {
        const witness = await listener("devices/#");
        const client = await enter({ clientId: unique("device") });
        const topic = unique("devices/another");
        publishRaw(client, { topic, payload: "no", qos, messageId: 7 });
        const { bytes } = await client.expectNext(type);
        expect(bytes[0]).toBe(firstByte);
        expect(bytes.subarray(2, 5)).toEqual(Buffer.from([0, 7, 0x87]));
        publishRaw(witness, { topic, payload: "yes", qos: 0 });
        expect((await witness.next("publish")).payload.toString()).toBe("yes");
        await pingRaw(client);
      },
    );

    test("of QoS 0 goes nowhere, and the connection of version 5 stays", async () => {
      const clientId = unique("device");
      const witness = await listener("devices/#");
      const client = await enter({ clientId });
      publishRaw(client, { topic: "devices/another/a", payload: "no", qos: 0 });
      publishRaw(client, { topic: `devices/${clientId}/a`, payload: "yes", qos: 0 });
      expect((await witness.next("publish")).payload.toString()).toBe("yes");
      expect(client.untaken).toEqual([]);
    });

    test.each([
      [3, 0],
      [3, 1],
      [4, 0],
      [4, 1],
      [4, 2],
    ] as const)(
      "of version %i and QoS %i closes the connection without an answer",
      async (protocolVersion, qos) => {
        const client = await enter({ protocolVersion });
        publishRaw(client, { topic: "devices/another/a", payload: "no", qos, messageId: 7 });
        expect((await client.closed()).code).toBe(1008);
        expect(client.untaken).toEqual([]);
      },
    );

    test("is so for MQTT.js", async () => {
      const clientId = unique("device");
      const password = await service.token();
      const client = await connectClient(broker.url, {
        clientId,
        protocolVersion: 5,
        username: "ann",
        password,
      });
      const denied = client.publish("devices/another/a", "no", { qos: 1 });
      await expect(denied).rejects.toMatchObject({ code: 0x87 });
      await client.publish(`devices/${clientId}/a`, "yes", { qos: 2 });
    });

    test("is one because of RETAIN alone", async () => {
      const client = await enter();
      publishRaw(client, { topic: "fresh/a", payload: "1", qos: 1, messageId: 1, retain: true });
      expect((await client.next("puback")).reasonCode).toBe(0x87);
      publishRaw(client, { topic: "fresh/a", payload: "1", qos: 1, messageId: 2 });
      expect((await client.next("puback")).reasonCode).not.toBe(0x87);
    });

    test("is one to $SYS for operators, too", async () => {
      const client = await enter({}, { roles: ["operator"], permissions: allowAll });
      publishRaw(client, { topic: "$SYS/clients/connected", payload: "0", qos: 1, messageId: 1 });
      expect((await client.next("puback")).reasonCode).toBe(0x87);
    });
  });

  describe("a rule with a claim", () => {
    test("is for those who have it, and it cannot be made to mean more", async () => {
      const client = await enter({}, { tenant: "acme" });
      expect(await subscribe(client, "tenants/acme/+", "tenants/other/+")).toEqual([2, 0x87]);
      for (const tenant of ["+", "#", "acme/+", "", 7, undefined]) {
        const other = await enter({}, { tenant });
        expect(await subscribe(other, "tenants/acme/a", "tenants/+/a", "tenants/#")).toEqual([
          0x87, 0x87, 0x87,
        ]);
      }
    });

    test.each(["+", "#", "a/b"])(
      "is for no Client Identifier %s that is no level of a topic",
      async (clientId) => {
        const client = await enter({ clientId });
        expect(await subscribe(client, `devices/${clientId}`, "devices/victim/a")).toEqual([0x87, 0x87]);
      },
    );
  });

  describe("a SUBSCRIBE", () => {
    const cases = (clientId: string): [string, number][] => [
      [`devices/${clientId}/#`, 2],
      [`devices/${clientId}`, 2],
      ["plant/line", 1],
      // Covered in part only.
      ["plant/#", 0x87],
      ["plant/+/+", 0x87],
      ["+/line", 0x87],
      ["#", 0x87],
      ["plant/secret/a", 0x87],
      [`$share/group/devices/${clientId}/#`, 2],
      ["$share/group/devices/another/#", 0x87],
      ["$share/group/#", 0x87],
      ["$SYS/#", 0x87],
      ["$SYS/clients/connected", 0x87],
    ];

    test("is answered for each Topic Filter by itself, in version 5 with 0x87", async () => {
      const clientId = unique("device");
      const client = await enter({ clientId });
      for (const [filter, code] of cases(clientId))
        expect([filter, await subscribe(client, filter)]).toEqual([filter, [code]]);
      const filters = cases(clientId);
      expect(await subscribe(client, ...filters.map(([filter]) => filter))).toEqual(
        filters.map(([, code]) => code),
      );
      await pingRaw(client);
    });

    test.each([3, 4] as const)(
      "is in version %i with 0x80, and the connection stays",
      async (protocolVersion) => {
        const clientId = unique("device");
        const client = await enter({ clientId, protocolVersion });
        client.send({
          cmd: "subscribe",
          messageId: 9,
          subscriptions: cases(clientId).map(([topic]) => ({ topic, qos: 2 })),
        });
        const { bytes } = await client.next("suback");
        const codes = cases(clientId).map(([, code]) => (code > 2 ? 0x80 : code));
        expect(bytes).toEqual(Buffer.from([0x90, 2 + codes.length, 0, 9, ...codes]));
        await pingRaw(client);
      },
    );

    test("that is denied by name is not got by a wildcard: who may have all but the secret gets none", async () => {
      const rules = [{ effect: "deny", action: "all", topicFilter: "a/secret" }, ...allowAll];
      const client = await enter({}, { permissions: rules });
      expect(await subscribe(client, "a/secret", "a/+", "#", "+/secret", "a/open", "b/#")).toEqual([
        0x87, 0x87, 0x87, 0x87, 2, 2,
      ]);
    });

    test("that is denied brings no retained message either", async () => {
      const root = unique("plant/secret/retained");
      const owner = await enter({}, { permissions: allowAll });
      publishRaw(owner, { topic: root, payload: "secret", qos: 1, messageId: 1, retain: true });
      await owner.next("puback");
      const clientId = unique("device");
      const client = await enter({ clientId });
      expect(await subscribe(client, root, `devices/${clientId}/#`)).toEqual([0x87, 2]);
      publishRaw(client, { topic: `devices/${clientId}/a`, payload: "mine", qos: 0 });
      expect((await client.next("publish")).payload.toString()).toBe("mine");
    });

    test("to $SYS is for operators", async () => {
      const operator = await enter({}, { roles: "operator" });
      expect(await subscribe(operator, "$SYS/#", "#")).toEqual([2, 0x87]);
      await operator.next("publish");
    });

    test.each([4, 5] as const)("is so for MQTT.js in version %i, and for Paho", async (protocolVersion) => {
      const password = await service.token();
      const credentials = { username: "ann", password };
      const client = await connectClient(broker.url, {
        clientId: unique("js"),
        protocolVersion,
        ...credentials,
      });
      const options: Partial<IClientSubscribeOptions> = { qos: 1 };
      await expect(client.subscribe("devices/another/#", options)).rejects.toThrow(
        protocolVersion === 5 ? "Not authorized" : "Unspecified error",
      );
      expect(await client.subscribe("plant/line", options)).toEqual([1]);
      const paho = await new PahoClient(`${broker.url}?token=${password}`, unique("paho")).connect(4);
      // Paho says that it failed, and no more.
      await expect(paho.subscribe("devices/another/#", 1)).rejects.toMatchObject({ message: "" });
    });
  });

  describe("a Will that is denied", () => {
    const will = { topic: "devices/another/a", payload: Buffer.from("gone"), qos: 0, retain: false } as const;

    test("refuses the CONNECT: 0x87, or 5", async () => {
      const password = await service.token();
      const credentials = { username: "ann", password, will };
      const { code, reasonString } = await refused(broker.url, credentials);
      expect([code, reasonString]).toEqual([0x87, "No permission to publish the Will"]);
      const { bytes } = await refused(broker.url, { protocolVersion: 4, ...credentials });
      expect(bytes).toEqual(Buffer.from([0x20, 2, 0, 5]));
    });

    test("does not disconnect who is connected by that name, and is not published", async () => {
      const witness = await listener("devices/#");
      const clientId = unique("device");
      const client = await enter({ clientId });
      await refused(broker.url, { clientId, username: "ann", password: await service.token(), will });
      await pingRaw(client);
      publishRaw(witness, { topic: "devices/marker", payload: "marker", qos: 0 });
      expect((await witness.next("publish")).payload.toString()).toBe("marker");
    });
  });
});
