import { describe, expect, test } from "vitest";
import { encodePacket, PacketDecoder } from "../../src/codec/index.ts";
import type { ServerPacket } from "../../src/core/packet.ts";
import { Harness } from "../core/harness.ts";
import { field, packet, properties, uint16 } from "../support/bytes.ts";
import { afterConnect, WireClient } from "./wire.ts";

const MALFORMED_PACKET = 0x81;
const bom = "\u{FEFF}";

describe.each([4, 5] as const)("Strings of version %i", (protocolVersion) => {
  test("[MQTT-1.5.4-3] [MQTT-1.5.3-3 (3.1.1)] keep U+FEFF wherever it stands, on their way to a subscriber", () => {
    const shard = new Harness();
    const client = WireClient.connected(shard, { protocolVersion });
    const optional = protocolVersion === 5 ? [0] : [];
    client.sendBytes(packet(0x82, uint16(1), optional, field(`${bom}a${bom}`), 0));
    client.sendBytes(packet(0x30, field(`${bom}a${bom}`), optional, "x"));
    expect(client.only("publish")).toMatchObject({ topicName: `${bom}a${bom}` });
    client.sendBytes(packet(0x30, field(`a${bom}`), optional, "x"));
    expect(client.all("publish")).toHaveLength(1);
  });
});

describe("User Properties", () => {
  test.each([
    ["name", [0x26, field(0xff), field("value")]],
    ["value", [0x26, field("name"), field(0xc0, 0x80)]],
    ["value with U+0000", [0x26, field("name"), field(0)]],
  ])("[MQTT-1.5.7-1] with an ill-formed %s make the packet malformed", (_part, property) => {
    const client = afterConnect(5, packet(0x30, field("a"), properties(property)));
    expect(client.only("disconnect").reasonCode).toBe(MALFORMED_PACKET);
    expect(client.closeCode).toBe(1002);
  });
});

describe.each([4, 5] as const)("Reserved flags at version %i", (protocolVersion) => {
  const flagless = [0x40, 0x50, 0x70, 0xc0, 0xe0];
  const wrong = [
    ...flagless.flatMap((first) => [1, 2, 4, 8].map((flag) => first | flag)),
    ...[0x60, 0x80, 0xa0].flatMap((first) => [0, 1, 3, 6, 10].map((flags) => first | flags)),
  ].map((firstByte) => ({ hex: firstByte.toString(16), firstByte }));

  test.each(wrong)(
    "[MQTT-2.1.3-1] [MQTT-2.2.2-2 (3.1.1)] in the first byte 0x$hex close the connection",
    ({ firstByte }) => {
      const client = afterConnect(protocolVersion, packet(firstByte, uint16(1)));
      expect(client.closeCode).toBe(1002);
      expect(client.all("disconnect").map(({ reasonCode }) => reasonCode)).toEqual(
        protocolVersion === 5 ? [MALFORMED_PACKET] : [],
      );
    },
  );

  test("[MQTT-2.1.3-1] [MQTT-2.2.2-1 (3.1.1)] are sent as they are prescribed", () => {
    const packetIdentifier = 1;
    const packets: readonly (readonly [number, ServerPacket])[] = [
      [0x20, { type: "connack", sessionPresent: true, reasonCode: 0 }],
      [0x40, { type: "puback", packetIdentifier, reasonCode: 0 }],
      [0x50, { type: "pubrec", packetIdentifier, reasonCode: 0 }],
      [0x62, { type: "pubrel", packetIdentifier, reasonCode: 0 }],
      [0x70, { type: "pubcomp", packetIdentifier, reasonCode: 0 }],
      [0x90, { type: "suback", packetIdentifier, reasonCodes: [0] }],
      [0xb0, { type: "unsuback", packetIdentifier, reasonCodes: [0] }],
      [0xd0, { type: "pingresp" }],
    ];
    for (const [firstByte, sent] of packets) expect(encodePacket(sent, protocolVersion)[0]).toBe(firstByte);
  });
});

describe.each([4, 5] as const)("A Packet Identifier at version %i", (protocolVersion) => {
  const optional = protocolVersion === 5 ? [0] : [];

  test("[MQTT-2.2.1-2] [MQTT-2.3.1-5 (3.1.1)] is not read from a PUBLISH with QoS 0, nor sent in one", () => {
    const shard = new Harness();
    const client = WireClient.connected(shard, { protocolVersion });
    client.sendBytes(packet(0x82, uint16(1), optional, field("a"), 2));
    client.sendBytes(packet(0x30, field("a"), optional, 0x12, 0x34));
    expect(client.sent.at(-1)).toEqual(Uint8Array.from(packet(0x30, field("a"), optional, 0x12, 0x34)));
    expect(client.only("publish")).not.toHaveProperty("packetIdentifier");
  });

  test("[MQTT-2.2.1-5] [MQTT-2.3.1-6 (3.1.1)] comes back with every response to a PUBLISH", () => {
    const client = afterConnect(
      protocolVersion,
      packet(0x32, field("a"), uint16(0x1234), optional),
      packet(0x34, field("a"), uint16(0xfffe), optional),
    );
    client.sendBytes(packet(0x62, uint16(0xfffe)));
    expect(client.only("puback").packetIdentifier).toBe(0x1234);
    expect(client.only("pubrec").packetIdentifier).toBe(0xfffe);
    expect(client.only("pubcomp").packetIdentifier).toBe(0xfffe);
  });

  test("[MQTT-2.2.1-6] [MQTT-2.3.1-7 (3.1.1)] comes back with SUBACK and UNSUBACK", () => {
    const client = afterConnect(
      protocolVersion,
      packet(0x82, uint16(0xabcd), optional, field("a"), 0),
      packet(0xa2, uint16(0xcdef), optional, field("a")),
    );
    expect(client.only("suback").packetIdentifier).toBe(0xabcd);
    expect(client.only("unsuback").packetIdentifier).toBe(0xcdef);
  });

  test("[MQTT-2.2.1-4] [MQTT-2.3.1-4 (3.1.1)] is another one for every message in flight, and never 0", () => {
    const shard = new Harness();
    const client = WireClient.connected(shard, { protocolVersion });
    client.sendBytes(packet(0x82, uint16(1), optional, field("a"), 2));
    for (let index = 1; index <= 40; index += 1) {
      client.sendBytes(packet(index % 2 === 0 ? 0x34 : 0x32, field("a"), uint16(index), optional));
    }
    const identifiers = client.all("publish").map(({ packetIdentifier }) => packetIdentifier);
    expect(identifiers).toHaveLength(40);
    expect(new Set(identifiers).size).toBe(40);
    expect(identifiers).not.toContain(0);
  });
});

describe("Packets of version 5 without properties", () => {
  test("[MQTT-2.2.2-1] have a Property Length of zero, or end where it may be left out", () => {
    const hex = (sent: ServerPacket): string => Buffer.from(encodePacket(sent, 5)).toString("hex");
    expect(hex({ type: "suback", packetIdentifier: 1, reasonCodes: [0] })).toBe("900400010000");
    expect(hex({ type: "unsuback", packetIdentifier: 1, reasonCodes: [0] })).toBe("b00400010000");
  });

  test.each([
    ["PUBLISH", packet(0x30, field("a"))],
    ["SUBSCRIBE", packet(0x82, uint16(1))],
    ["UNSUBSCRIBE", packet(0xa2, uint16(1))],
    ["CONNECT", packet(0x10, field("MQTT"), 5, 2, uint16(0))],
  ])("[MQTT-2.2.2-1] are malformed without one: %s", (name, content) => {
    const decoder = new PacketDecoder({
      maximumPacketSizeBytes: 1000,
      ...(name !== "CONNECT" && { protocolVersion: 5 }),
    });
    expect(decoder.push(content).fault?.reasonCode).toBe(MALFORMED_PACKET);
  });
});
