/** Encodes PUBLISH, once for all the receivers of a message that get the same bytes. */
import type { ApplicationMessage, Delivery, ProtocolVersion } from "../core/packet.ts";
import { ByteWriter, packetSizeBytes, stringSizeBytes } from "./byte-writer.ts";
import { propertiesSizeBytes, withLengthSizeBytes, writeProperties } from "./property-writer.ts";
import type { PropertySource } from "./property-writer.ts";
import { allocateBytes } from "./slab.ts";

/** Forms kept per message. Receivers with aliases or identifiers of their own make ever more of them. */
const MAXIMUM_FORMS = 8;

/** One encoding of a message; `bytes` holds 0 for the Packet Identifier, at `packetIdentifierAt`. */
interface Form {
  readonly isVersion5: boolean;
  readonly delivery: Delivery;
  readonly bytes: Uint8Array;
  readonly packetIdentifierAt: number;
}

/**
 * Encodes deliveries. Keep one for a whole broker and encode a message for all its receivers in a row: they
 * share the work as long as they come with the same message object.
 */
export class PublishEncoder {
  // Only the latest message: what queues and the retained store hold must not keep encodings alive as well.
  #message: ApplicationMessage | undefined;
  #forms: Form[] = [];

  /**
   * The bytes of one PUBLISH, not to be written to: with QoS 0 all receivers of a form get the same array.
   * It may be a view of a larger buffer: send the array, never its `buffer`.
   * @throws Error when `qos` is above 0 and there is no Packet Identifier.
   * @throws RangeError when a string or binary value takes more than 65,535 bytes.
   */
  encode(delivery: Delivery, protocolVersion: ProtocolVersion): Uint8Array {
    const form = this.#form(delivery, protocolVersion === 5);
    if (delivery.qos === 0) return form.bytes;
    // [MQTT-2.2.1-4] a Packet Identifier other than 0.
    if (!delivery.packetIdentifier) throw new Error("delivery with QoS above 0 has no Packet Identifier");
    const bytes = allocateBytes(form.bytes.length);
    bytes.set(form.bytes);
    bytes[form.packetIdentifierAt] = delivery.packetIdentifier >> 8;
    bytes[form.packetIdentifierAt + 1] = delivery.packetIdentifier;
    return bytes;
  }

  #form(delivery: Delivery, isVersion5: boolean): Form {
    if (this.#message !== delivery.message) {
      this.#message = delivery.message;
      this.#forms = [];
    }
    for (const form of this.#forms) {
      if (isSameForm(form, delivery, isVersion5)) return form;
    }
    const form = encodeForm(delivery, isVersion5);
    this.#forms.unshift(form);
    if (this.#forms.length > MAXIMUM_FORMS) this.#forms.pop();
    return form;
  }
}

/** Exact size in bytes of the PUBLISH that `delivery` makes, told without encoding it. */
export function publishSizeBytes(delivery: Delivery, protocolVersion: ProtocolVersion): number {
  const isVersion5 = protocolVersion === 5;
  const source = isVersion5 ? propertySource(delivery) : undefined;
  const listSizeBytes = source === undefined ? 0 : propertiesSizeBytes("publish", source);
  return packetSizeBytes(remainingLength(delivery, isVersion5, listSizeBytes));
}

function isSameForm(form: Form, delivery: Delivery, isVersion5: boolean): boolean {
  const other = form.delivery;
  const isSameHeader =
    form.isVersion5 === isVersion5 &&
    other.qos === delivery.qos &&
    other.retain === delivery.retain &&
    other.dup === delivery.dup;
  return isSameHeader && (!isVersion5 || hasSameProperties(other, delivery));
}

function hasSameProperties(one: Delivery, other: Delivery): boolean {
  return (
    one.messageExpiryIntervalSec === other.messageExpiryIntervalSec &&
    one.topicAlias === other.topicAlias &&
    one.omitTopicName === other.omitTopicName &&
    areSameNumbers(one.subscriptionIdentifiers, other.subscriptionIdentifiers)
  );
}

function areSameNumbers(one: readonly number[] = [], other: readonly number[] = []): boolean {
  return (
    one === other || (one.length === other.length && one.every((value, index) => value === other[index]))
  );
}

function encodeForm(delivery: Delivery, isVersion5: boolean): Form {
  const { message, qos } = delivery;
  const source = isVersion5 ? propertySource(delivery) : undefined;
  const listSizeBytes = source === undefined ? 0 : propertiesSizeBytes("publish", source);
  const writer = new ByteWriter(firstByte(delivery), remainingLength(delivery, isVersion5, listSizeBytes));
  writer.writeUtf8(sentTopicName(delivery, isVersion5));
  const packetIdentifierAt = writer.offset;
  if (qos > 0) writer.writeUint16(0);
  if (source !== undefined) writeProperties(writer, "publish", source, listSizeBytes);
  else if (isVersion5) writer.writeVariableByteInteger(0);
  writer.writeRaw(message.payload);
  return { isVersion5, delivery, bytes: writer.bytes, packetIdentifierAt };
}

function firstByte({ dup, qos, retain }: Delivery): number {
  return 0x30 | (dup ? 0x08 : 0) | (qos << 1) | (retain ? 0x01 : 0);
}

function remainingLength(delivery: Delivery, isVersion5: boolean, listSizeBytes: number): number {
  const topicNameSizeBytes = stringSizeBytes(sentTopicName(delivery, isVersion5));
  // [MQTT-2.2.1-2] no Packet Identifier with QoS 0.
  const packetIdentifierSizeBytes = delivery.qos > 0 ? 2 : 0;
  const propertySizeBytes = isVersion5 ? withLengthSizeBytes(listSizeBytes) : 0;
  return topicNameSizeBytes + packetIdentifierSizeBytes + propertySizeBytes + delivery.message.payload.length;
}

/** Section 3.3.2.3.4: a Topic Alias that the receiver knows stands for the Topic Name. */
function sentTopicName({ message, omitTopicName }: Delivery, isVersion5: boolean): string {
  return isVersion5 && omitTopicName ? "" : message.topicName;
}

/** The message's properties as they were published and the receiver's own; undefined when there are none. */
function propertySource(delivery: Delivery): PropertySource | undefined {
  const { messageExpiryIntervalSec, topicAlias, subscriptionIdentifiers } = delivery;
  // [MQTT-3.3.2-4], [MQTT-3.3.2-15] to [MQTT-3.3.2-20]: sent on unaltered.
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } =
    delivery.message;
  const hasNone =
    payloadFormatIndicator === undefined &&
    contentType === undefined &&
    responseTopic === undefined &&
    correlationData === undefined &&
    userProperties === undefined &&
    messageExpiryIntervalSec === undefined &&
    topicAlias === undefined &&
    subscriptionIdentifiers === undefined;
  if (hasNone) return undefined;
  return {
    payloadFormatIndicator,
    contentType,
    responseTopic,
    correlationData,
    userProperties,
    // [MQTT-3.3.2-6] what is left of the interval.
    messageExpiryIntervalSec,
    topicAlias,
    subscriptionIdentifiers,
  };
}
