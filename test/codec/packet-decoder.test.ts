import { describe, expect, test } from "vitest";
import { PacketDecoder } from "../../src/codec/index.ts";
import { PROPERTIES } from "../../src/codec/property.ts";
import type { PublishPacket } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { encodeClientPacket } from "./client-encode.ts";

const PINGREQ = Uint8Array.of(0xc0, 0);
const LIMIT = 300_000;

function publish(payloadBytes: number): Uint8Array {
  const message = {
    topicName: "t",
    payload: new Uint8Array(payloadBytes).fill(7),
    qos: 0,
    retain: false,
  } as const;
  return encodeClientPacket({ type: "publish", message, dup: false }, 4);
}

const decoderOf = (maximumPacketSizeBytes = LIMIT): PacketDecoder =>
  new PacketDecoder({ maximumPacketSizeBytes, protocolVersion: 4 });

describe("size limit", () => {
  test("[MQTT-3.2.2-15] a packet of exactly the limit passes, one byte more does not", () => {
    const bytes = publish(200);
    expect(decoderOf(bytes.length).push(bytes).packets).toHaveLength(1);
    expect(decoderOf(bytes.length - 1).push(bytes).fault?.reasonCode).toBe(ReasonCode.PacketTooLarge);
  });

  test("a packet too large is refused by its fixed header, and nothing of it is kept", () => {
    const decoder = decoderOf(100);
    expect(decoder.push(Uint8Array.of(0x30, 0xff)).fault).toBeUndefined();
    expect(decoder.push(Uint8Array.of(0x7f)).fault?.reasonCode).toBe(ReasonCode.PacketTooLarge);
    expect(decoder.isInsidePacket).toBe(false);
  });
});

describe("after a fault", () => {
  test("every push returns the same fault and no packets", () => {
    const decoder = decoderOf();
    const { packets, fault } = decoder.push(Uint8Array.of(...PINGREQ, 0x00, ...PINGREQ));
    expect(packets).toEqual([{ type: "pingreq" }]);
    expect(fault?.reasonCode).toBe(ReasonCode.MalformedPacket);
    expect(decoder.push(PINGREQ)).toEqual({ packets: [], fault });
    expect(decoder.push(new Uint8Array(0))).toEqual({ packets: [], fault });
  });
});

describe("packets in parts", () => {
  test("a large packet byte by byte takes no quadratic time", () => {
    const decoder = decoderOf();
    const bytes = publish(256 * 1024);
    const packets = Array.from(bytes, (_, at) => decoder.push(bytes.subarray(at, at + 1)).packets).flat();
    expect((packets[0] as PublishPacket).message.payload).toHaveLength(256 * 1024);
  });

  test("knows whether it is inside a packet", () => {
    const bytes = publish(100);
    for (let at = 1; at < bytes.length; at++) {
      const decoder = decoderOf();
      decoder.push(bytes.subarray(0, at));
      expect(decoder.isInsidePacket).toBe(true);
      decoder.push(bytes.subarray(at));
      expect(decoder.isInsidePacket).toBe(false);
    }
  });

  test("an empty chunk changes nothing", () => {
    const decoder = decoderOf();
    expect(decoder.push(new Uint8Array(0))).toEqual({ packets: [] });
    expect(decoder.isInsidePacket).toBe(false);
    expect(decoder.protocolVersion).toBe(4);
  });
});

test("nothing decoded shares memory with the chunk", () => {
  const bytes = publish(10);
  const { packets } = decoderOf().push(bytes);
  bytes.fill(0);
  expect((packets[0] as PublishPacket).message).toMatchObject({
    topicName: "t",
    payload: new Uint8Array(10).fill(7),
  });
  expect((packets[0] as PublishPacket).message.payload.buffer.byteLength).toBe(10);
});

test("the version of CONNECT is remembered", () => {
  const decoder = new PacketDecoder({ maximumPacketSizeBytes: LIMIT });
  expect(decoder.protocolVersion).toBeUndefined();
  const connect = { cleanStart: true, keepAliveSec: 0, clientId: "c", sessionExpiryIntervalSec: 0 };
  decoder.push(encodeClientPacket({ type: "connect", protocolVersion: 5, ...connect }, 5));
  expect(decoder.protocolVersion).toBe(5);
});

test("section 2.2.2.2: there are 27 properties, told apart by identifier and owner", () => {
  expect(new Set(PROPERTIES.map(({ identifier }) => identifier)).size).toBe(27);
  const places = PROPERTIES.flatMap(({ identifier, owners }) =>
    owners.map((owner) => `${owner} ${identifier}`),
  );
  expect(new Set(places).size).toBe(places.length);
});
