/** The client's end of the wire: bytes by a codec that is not the broker's. */
import type { IConnectPacket, Packet, Parser } from "mqtt-packet";
import { generate, parser } from "mqtt-packet";
import type {
  ClientPacket,
  ConnectPacket,
  PublishPacket,
  PublishResponsePacket,
  SubscribePacket,
} from "../src/core/packet.ts";
import type { ReasonCode } from "../src/core/reason-code.ts";
import { Violation } from "./history.ts";
import type { Received } from "./link.ts";

type Version = ConnectPacket["protocolVersion"];

export class Wire {
  readonly #protocolVersion: Version;
  readonly #parser: Parser;
  #received: Received[] = [];

  constructor(protocolVersion: Version) {
    this.#protocolVersion = protocolVersion;
    this.#parser = parser({ protocolVersion });
    this.#parser.on("packet", (packet) => this.#received.push(received(packet)));
    this.#parser.on("error", (error) => {
      throw new Violation("wire", `what the broker sends cannot be read: ${error.message}`);
    });
  }

  encode(packets: readonly ClientPacket[]): Uint8Array {
    const protocolVersion = this.#protocolVersion;
    return Buffer.concat(
      packets.map((packet) => generate(sent(packet, protocolVersion === 5), { protocolVersion })),
    );
  }

  decode(bytes: Uint8Array): Received[] {
    this.#received = [];
    const left = this.#parser.parse(Buffer.from(bytes));
    if (left > 0) throw new Violation("wire", `${left} bytes more than whole packets`);
    return this.#received;
  }
}

function sent(packet: ClientPacket, isVersion5: boolean): Packet {
  switch (packet.type) {
    case "connect":
      return connectOf(packet, isVersion5);
    case "publish":
      return publishOf(packet, isVersion5);
    case "subscribe":
      return subscribeOf(packet);
    case "unsubscribe":
      return {
        cmd: "unsubscribe",
        messageId: packet.packetIdentifier,
        unsubscriptions: [...packet.topicFilters],
      };
    case "pingreq":
      return { cmd: "pingreq" };
    case "disconnect":
      return { cmd: "disconnect", ...(isVersion5 && { reasonCode: packet.reasonCode }) };
    case "auth":
      throw new Error("clients of the simulation do not authenticate");
    default:
      return responseOf(packet, isVersion5);
  }
}

function connectOf(packet: ConnectPacket, isVersion5: boolean): IConnectPacket {
  const { protocolVersion, cleanStart, keepAliveSec, clientId, sessionExpiryIntervalSec, will } = packet;
  const { receiveMaximum } = packet;
  return {
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion,
    clean: cleanStart,
    keepalive: keepAliveSec,
    clientId,
    ...(will !== undefined && {
      will: {
        topic: will.topicName,
        payload: Buffer.from(will.payload),
        qos: will.qos,
        retain: will.retain,
        ...(isVersion5 && { properties: { willDelayInterval: will.willDelayIntervalSec } }),
      },
    }),
    ...(isVersion5 && {
      properties: {
        sessionExpiryInterval: sessionExpiryIntervalSec,
        ...(receiveMaximum !== undefined && { receiveMaximum }),
      },
    }),
  };
}

function publishOf({ message, dup, packetIdentifier }: PublishPacket, isVersion5: boolean): Packet {
  const { topicName, payload, qos, retain, messageExpiryIntervalSec } = message;
  return {
    cmd: "publish",
    topic: topicName,
    payload: Buffer.from(payload),
    qos,
    retain,
    dup,
    ...(packetIdentifier !== undefined && { messageId: packetIdentifier }),
    ...(isVersion5 &&
      messageExpiryIntervalSec !== undefined && {
        properties: { messageExpiryInterval: messageExpiryIntervalSec },
      }),
  };
}

function responseOf(
  { type, packetIdentifier, reasonCode }: PublishResponsePacket,
  isVersion5: boolean,
): Packet {
  return { cmd: type, messageId: packetIdentifier, ...(isVersion5 && { reasonCode }) };
}

function subscribeOf({ packetIdentifier, requests }: SubscribePacket): Packet {
  const subscriptions = requests.map(
    ({ topicFilter, maximumQos, noLocal, retainAsPublished, retainHandling }) => ({
      topic: topicFilter,
      qos: maximumQos,
      nl: noLocal,
      rap: retainAsPublished,
      rh: retainHandling,
    }),
  );
  return { cmd: "subscribe", messageId: packetIdentifier, subscriptions };
}

function received(packet: Packet): Received {
  const packetIdentifier = packet.messageId ?? 0;
  switch (packet.cmd) {
    case "connack":
      return {
        type: "connack",
        sessionPresent: packet.sessionPresent,
        reasonCode: (packet.reasonCode ?? packet.returnCode ?? 0) as ReasonCode,
      };
    case "publish": {
      const { topic: topicName, payload, qos, retain, dup, messageId } = packet;
      const message = { topicName, payload: Buffer.from(payload), qos, retain };
      return {
        type: "publish",
        message,
        qos,
        retain,
        dup,
        ...(messageId !== undefined && { packetIdentifier: messageId }),
      };
    }
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp":
      return { type: packet.cmd, packetIdentifier, reasonCode: (packet.reasonCode ?? 0) as ReasonCode };
    case "suback":
      return { type: "suback", packetIdentifier, reasonCodes: packet.granted as ReasonCode[] };
    case "unsuback":
      // Version 3.1.1 says nothing but that it is done.
      return { type: "unsuback", packetIdentifier, reasonCodes: (packet.granted ?? [0]) as ReasonCode[] };
    case "pingresp":
      return { type: "pingresp" };
    case "disconnect": {
      const reasonCode = (packet.reasonCode ?? 0) as ReasonCode;
      const reasonString = packet.properties?.["reasonString"] as string | undefined;
      return { type: "disconnect", reasonCode, ...(reasonString !== undefined && { reasonString }) };
    }
    default:
      throw new Violation("wire", `the broker sends ${packet.cmd}`);
  }
}
