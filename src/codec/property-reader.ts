/** Reads lists of properties, section 2.2.2. */
import type { ByteReader } from "./byte-reader.ts";
import { malformed, protocolError, refusal } from "./fault.ts";
import { perOwner, propertiesOf } from "./property.ts";
import type { PropertyDefinition, PropertyOwner, PropertyValues, WireType } from "./property.ts";

const READERS: Readonly<Record<WireType, (reader: ByteReader) => unknown>> = {
  bit: readBit,
  flag: (reader) => readBit(reader) === 1,
  uint16: (reader) => reader.readUint16(),
  uint32: (reader) => reader.readUint32(),
  variableByteInteger: (reader) => reader.readVariableByteInteger(),
  utf8: (reader) => reader.readUtf8(),
  binary: (reader) => reader.readBinary(),
  // [MQTT-1.5.7-1] both strings of a pair are UTF-8 Encoded Strings.
  utf8Pair: (reader) => [reader.readUtf8(), reader.readUtf8()],
};

/** Per owner the legal properties, by identifier. */
const DEFINITIONS = perOwner((owner) => {
  const byIdentifier: (PropertyDefinition | undefined)[] = [];
  for (const property of propertiesOf(owner)) byIdentifier[property.identifier] = property;
  return byIdentifier;
});

/** What an empty list of properties reads as: always this object. */
export const NO_PROPERTIES: Readonly<PropertyValues> = Object.freeze({});

/**
 * Reads a Property Length and the properties after it.
 * @throws FaultError when a property is unknown, out of place, repeated or out of range, and when the
 * properties don't end where their length says.
 */
export function readProperties(reader: ByteReader, owner: PropertyOwner): Readonly<PropertyValues> {
  const length = reader.readVariableByteInteger();
  if (length === 0) return NO_PROPERTIES;
  const values: PropertyValues = {};
  const end = reader.offset + length;
  while (reader.offset < end) readProperty(reader, owner, values as Record<string, unknown>);
  if (reader.offset !== end) throw malformed("Property Length does not fit the properties");
  return values;
}

function readProperty(reader: ByteReader, owner: PropertyOwner, values: Record<string, unknown>): void {
  const definition = DEFINITIONS[owner][reader.readByte()];
  // Section 2.2.2.2: an identifier that is not valid for the packet makes the packet malformed.
  if (definition === undefined) throw malformed("Property is unknown or not allowed here");
  const value = READERS[definition.wireType](reader);
  if (value === 0 && definition.zeroReasonCode !== undefined) {
    throw refusal(definition.zeroReasonCode, `${definition.name} is 0`);
  }
  const earlier = values[definition.name];
  if (definition.repeatable) {
    if (earlier === undefined) values[definition.name] = [value];
    else (earlier as unknown[]).push(value);
    return;
  }
  if (earlier !== undefined) throw protocolError(`${definition.name} is given more than once`);
  values[definition.name] = value;
}

function readBit(reader: ByteReader): number {
  const value = reader.readByte();
  if (value > 1) throw protocolError("Property holds another value than 0 and 1");
  return value;
}
