/** Packets of MQTT 3.1.1, the version that all the brokers speak, ready to send as WebSocket frames. */

export const PacketType = {
  Connack: 2,
  Publish: 3,
  Puback: 4,
  Pubrec: 5,
  Pubrel: 6,
  Pubcomp: 7,
  Suback: 9,
  Pingresp: 13,
} as const;

export type QoS = 0 | 1 | 2;

const BINARY_FRAME = 0x82;
const MASKED = 0x80;
const MASK_BYTES = 4;

/**
 * A masked frame. The mask is zero, which the protocol allows: the server still unmasks, but the client can
 * prepare its frames in advance.
 */
export function frame(content: Uint8Array): Buffer {
  const lengthBytes = content.length < 126 ? 1 : content.length < 65_536 ? 3 : 9;
  const result = Buffer.alloc(1 + lengthBytes + MASK_BYTES + content.length);
  result[0] = BINARY_FRAME;
  if (lengthBytes === 1) result[1] = MASKED | content.length;
  else if (lengthBytes === 3) {
    result[1] = MASKED | 126;
    result.writeUInt16BE(content.length, 2);
  } else {
    result[1] = MASKED | 127;
    result.writeBigUInt64BE(BigInt(content.length), 2);
  }
  result.set(content, 1 + lengthBytes + MASK_BYTES);
  return result;
}

function packet(firstByte: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const header = [firstByte];
  let rest = body.length;
  do {
    const digit = rest % 128;
    rest = Math.floor(rest / 128);
    header.push(rest > 0 ? digit | 0x80 : digit);
  } while (rest > 0);
  return Buffer.concat([Buffer.from(header), body]);
}

function text(value: string): Buffer {
  const content = Buffer.from(value);
  return Buffer.concat([uint16(content.length), content]);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

export function connectFrame(clientId: string, cleanSession: boolean): Buffer {
  const keepAliveSec = 300;
  const flags = cleanSession ? 0x02 : 0x00;
  const header = Buffer.concat([text("MQTT"), Buffer.from([4, flags]), uint16(keepAliveSec)]);
  return frame(packet(0x10, header, text(clientId)));
}

export function subscribeFrame(topicFilters: readonly string[], qos: QoS): Buffer {
  const subscriptions = topicFilters.flatMap((topicFilter) => [text(topicFilter), Buffer.from([qos])]);
  return frame(packet(0x82, uint16(1), ...subscriptions));
}

/** A PUBLISH whose Packet Identifier, if it has one, is patched before each use. */
export interface PublishTemplate {
  readonly bytes: Buffer;
  /** Undefined at QoS 0. */
  readonly packetIdOffset: number | undefined;
}

export function publishTemplate(
  topic: string,
  payload: Uint8Array,
  qos: QoS,
  retain = false,
): PublishTemplate {
  const firstByte = 0x30 | (qos << 1) | (retain ? 1 : 0);
  const packetId = qos > 0 ? uint16(0) : Buffer.alloc(0);
  const bytes = frame(packet(firstByte, text(topic), packetId, payload));
  return { bytes, packetIdOffset: qos > 0 ? bytes.length - payload.length - 2 : undefined };
}

export function publishFrame(template: PublishTemplate, packetId: number): Buffer {
  if (template.packetIdOffset === undefined) return template.bytes;
  const bytes = Buffer.from(template.bytes);
  bytes.writeUInt16BE(packetId, template.packetIdOffset);
  return bytes;
}

/** PUBACK, PUBREC, PUBREL and PUBCOMP have one form. */
export function ackFrame(type: number, packetId: number): Buffer {
  const flags = type === PacketType.Pubrel ? 0x02 : 0;
  const bytes = Buffer.alloc(10);
  bytes[0] = BINARY_FRAME;
  bytes[1] = MASKED | 4;
  bytes[6] = (type << 4) | flags;
  bytes[7] = 2;
  bytes.writeUInt16BE(packetId, 8);
  return bytes;
}

export const PINGREQ_FRAME = frame(Buffer.from([0xc0, 0]));
export const DISCONNECT_FRAME = frame(Buffer.from([0xe0, 0]));
/** Close, code 1000. */
export const CLOSE_FRAME = Buffer.from([0x88, MASKED | 2, 0, 0, 0, 0, 0x03, 0xe8]);
