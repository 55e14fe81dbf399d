import { describe, expect, test } from "vitest";
import { PacketDecoder } from "../../src/codec/index.ts";
import { Harness } from "../core/harness.ts";
import type { Part } from "../support/bytes.ts";
import { field, NO_PROPERTIES, packet, uint16 } from "../support/bytes.ts";
import { beginning, bothVersions, WireClient } from "./wire.ts";

const CLEAN = 0x02;
const WILL = 0x04;
const WILL_QOS_1 = 0x08;
const WILL_RETAIN = 0x20;
const PASSWORD = 0x40;
const USER_NAME = 0x80;
const ill = field(0xff);
const id = field("client");

/** `will` is put before the Will Topic: version 5 has Will Properties there. */
function connect(level: number, flags: number, ...payload: readonly Part[]): Buffer {
  const properties = level === 5 ? NO_PROPERTIES : [];
  return packet(0x10, field("MQTT"), level, flags, uint16(0), properties, payload);
}

describe.each(bothVersions)("A CONNECT of version %i", (version) => {
  const will = (topic: Part, ...rest: readonly Part[]): Part[] => [
    version === 5 ? NO_PROPERTIES : [],
    topic,
    ...rest,
  ];

  test.each([
    ["[MQTT-3.1.2-3] [MQTT-3.1.2-3 (3.1.1)] whose reserved flag is set", CLEAN | 1, [id]],
    ["[MQTT-3.1.2-9] [MQTT-3.1.2-9 (3.1.1)] without a Will Topic", CLEAN | WILL, [id]],
    ["[MQTT-3.1.2-9] [MQTT-3.1.2-9 (3.1.1)] without a Will Payload", CLEAN | WILL, [id, will(field("w"))]],
    ["[MQTT-3.1.2-11] [MQTT-3.1.2-13 (3.1.1)] with Will QoS alone", CLEAN | WILL_QOS_1, [id]],
    ["[MQTT-3.1.2-11 (3.1.1)] with a Will and no flag", CLEAN, [id, will(field("w"), field("x"))]],
    [
      "[MQTT-3.1.2-12] [MQTT-3.1.2-14 (3.1.1)] with Will QoS 3",
      CLEAN | WILL | 0x18,
      [id, will(field("w"), field("x"))],
    ],
    ["[MQTT-3.1.2-13] [MQTT-3.1.2-15 (3.1.1)] with Will Retain alone", CLEAN | WILL_RETAIN, [id]],
    ["[MQTT-3.1.2-16] [MQTT-3.1.2-18 (3.1.1)] with a User Name and no flag", CLEAN, [id, field("name")]],
    ["[MQTT-3.1.2-17] [MQTT-3.1.2-19 (3.1.1)] without the User Name of its flag", CLEAN | USER_NAME, [id]],
    [
      "[MQTT-3.1.2-18] [MQTT-3.1.2-20 (3.1.1)] with a Password and no flag",
      CLEAN | USER_NAME,
      [id, field("name"), field("secret")],
    ],
    [
      "[MQTT-3.1.2-19] [MQTT-3.1.2-21 (3.1.1)] without the Password of its flag",
      CLEAN | USER_NAME | PASSWORD,
      [id, field("name")],
    ],
    ["[MQTT-3.1.3-3] [MQTT-3.1.3-3 (3.1.1)] without a Client Identifier", CLEAN, []],
    ["[MQTT-3.1.3-4] [MQTT-3.1.3-4 (3.1.1)] with an ill-formed Client Identifier", CLEAN, [ill]],
    [
      "[MQTT-3.1.3-11] [MQTT-3.1.3-10 (3.1.1)] with an ill-formed Will Topic",
      CLEAN | WILL,
      [id, will(ill, field("x"))],
    ],
    ["[MQTT-3.1.3-12] [MQTT-3.1.3-11 (3.1.1)] with an ill-formed User Name", CLEAN | USER_NAME, [id, ill]],
    ["[MQTT-3.1.4-1] [MQTT-3.1.4-1 (3.1.1)] with bytes after its last field", CLEAN, [id, 0]],
  ] as const)("%s closes the connection; version 5 says why", (_name, flags, payload) => {
    const client = beginning(version, [connect(version, flags, payload)]);
    expect(client.closeCode).toBeGreaterThan(1000);
    if (version === 5) expect(client.received).toMatchObject([{ type: "connack", reasonCode: 0x81 }]);
    else expect(client.received).toEqual([]);
  });

  test("[MQTT-3.1.3-1] [MQTT-3.1.3-1 (3.1.1)] has its fields in the prescribed order", () => {
    const payload = [id, will(field("topic"), field("payload")), field("name"), field("secret")];
    const bytes = Uint8Array.from(connect(version, CLEAN | WILL | USER_NAME | PASSWORD, payload));
    const { packets } = new PacketDecoder({ maximumPacketSizeBytes: 1000 }).push(bytes);
    expect(packets).toMatchObject([
      {
        clientId: "client",
        will: { topicName: "topic", payload: Uint8Array.from(Buffer.from("payload")) },
        userName: "name",
        password: Uint8Array.from(Buffer.from("secret")),
      },
    ]);
  });

  test.each([
    "a",
    "0123456789abcdefghijklm",
    "nopqrstuvwxyzABCDEFGHIJ",
    "KLMNOPQRSTUVWXYZ",
    "beyond/23 characters, and with ümlaut",
  ])("[MQTT-3.1.3-5] [MQTT-3.1.3-5 (3.1.1)] may have the Client Identifier %j", (clientId) => {
    const client = WireClient.connected(new Harness(), { protocolVersion: version, clientId });
    expect(client.only("connack").reasonCode).toBe(0);
  });

  test("[MQTT-3.1.3-8] [MQTT-3.1.3-9 (3.1.1)] whose Client Identifier is too long is refused and closed", () => {
    const clientId = "x".repeat(257);
    const client = WireClient.connected(new Harness(), { protocolVersion: version, clientId });
    expect(client.only("connack").reasonCode).toBe(version === 5 ? 0x85 : 2);
    expect(client.closeCode).toBe(1008);
  });

  test("[MQTT-3.1.0-2] [MQTT-3.1.0-2 (3.1.1)] that is the second one closes the connection", () => {
    const client = WireClient.connected(new Harness(), { protocolVersion: version }).connect();
    expect(client.closeCode).toBe(1002);
    expect(client.types).toEqual(version === 5 ? ["connack", "disconnect"] : ["connack"]);
  });

  test("[MQTT-7.0.0-2 (3.1.1)] [MQTT-3.1.4-5] [MQTT-3.1.4-4 (3.1.1)] that says no more than it must is served", () => {
    const client = beginning(version, [connect(version, CLEAN, id)]);
    expect(client.only("connack")).toMatchObject({ reasonCode: 0, sessionPresent: false });
    expect(client.closeCode).toBeUndefined();
  });
});

describe("A CONNECT of another version", () => {
  test("[MQTT-3.1.2-1] [MQTT-3.1.2-1 (3.1.1)] with an unknown Protocol Name closes the connection", () => {
    const client = beginning(5, [packet(0x10, field("MQTTT"), 5, CLEAN, uint16(0), NO_PROPERTIES, id)]);
    expect(client.closeCode).toBe(1002);
    expect(client.all("connack")).toEqual([]);
  });

  test("[MQTT-3.1.2-2] that is newer is answered with 0x84", () => {
    const client = beginning(5, [connect(6, CLEAN, NO_PROPERTIES, id)]);
    expect(client.only("connack").reasonCode).toBe(0x84);
    expect(client.closeCode).toBe(1008);
  });

  test("[MQTT-3.1.2-2 (3.1.1)] that is older is answered with return code 1", () => {
    const client = beginning(4, [connect(2, CLEAN, id)]);
    expect(client.sent).toEqual([Uint8Array.of(0x20, 2, 0, 1)]);
    expect(client.closeCode).toBe(1008);
  });
});

describe.each(bothVersions)("The first packet at version %i", (version) => {
  test.each([
    ["PUBLISH", 0x30],
    ["PUBACK", 0x40],
    ["PUBREL", 0x62],
    ["SUBSCRIBE", 0x82],
    ["UNSUBSCRIBE", 0xa2],
    ["PINGREQ", 0xc0],
    ["DISCONNECT", 0xe0],
  ])(
    "[MQTT-3.1.0-1] [MQTT-3.1.0-1 (3.1.1)] is not %s: that closes the connection unanswered",
    (_name, firstByte) => {
      const client = beginning(version, [packet(firstByte)]);
      expect(client.closeCode).toBe(1002);
      expect(client.received).toEqual([]);
    },
  );
});

describe("The empty Client Identifier", () => {
  test("[MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] is replaced by one that is told and that the session keeps", () => {
    const shard = new Harness();
    const options = { clientId: "", cleanStart: true, sessionExpiryIntervalSec: 100 };
    const first = WireClient.connected(shard, options);
    const second = WireClient.connected(shard, options);
    const clientId = first.only("connack").assignedClientIdentifier ?? "";
    expect(clientId).not.toBe("");
    expect(second.only("connack").assignedClientIdentifier).not.toBe(clientId);
    expect(first.closeCode).toBeUndefined();
    first.lose();
    const returned = WireClient.connected(shard, { ...options, clientId, cleanStart: false });
    expect(returned.only("connack").sessionPresent).toBe(true);
    expect(returned.only("connack")).not.toHaveProperty("assignedClientIdentifier");
  });

  test("[MQTT-3.1.3-6 (3.1.1)] is replaced by a unique one with Clean Session", () => {
    const shard = new Harness();
    const options = { protocolVersion: 4, clientId: "", cleanStart: true } as const;
    const clients = [1, 2, 3].map(() => WireClient.connected(shard, options));
    for (const client of clients) {
      expect(client.only("connack").reasonCode).toBe(0);
      expect(client.closeCode).toBeUndefined();
    }
  });

  test("[MQTT-3.1.3-8 (3.1.1)] is refused with return code 2 without Clean Session", () => {
    const options = { protocolVersion: 4, clientId: "", cleanStart: false } as const;
    const client = WireClient.connected(new Harness(), options);
    expect(client.sent).toEqual([Uint8Array.of(0x20, 2, 0, 2)]);
    expect(client.closeCode).toBe(1008);
  });
});
