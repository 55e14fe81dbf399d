/** Writes lists of properties, section 2.2.2. */
import { binarySizeBytes, stringSizeBytes } from "./byte-writer.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { UserProperty } from "../core/packet.ts";
import { perOwner, propertiesOf } from "./property.ts";
import type { PropertyDefinition, PropertyOwner, PropertyValues, WireType } from "./property.ts";
import { variableByteIntegerSizeBytes } from "./variable-byte-integer.ts";

/** Whatever has properties among its fields: most packets as they are. */
export type PropertySource = {
  readonly [Name in keyof PropertyValues]?: PropertyValues[Name] | undefined;
};

interface Encoding {
  readonly sizeBytes: (value: never) => number;
  readonly write: (writer: ByteWriter, value: never) => void;
}

const ENCODINGS: Readonly<Record<WireType, Encoding>> = {
  bit: { sizeBytes: () => 1, write: (writer, value: number) => writer.writeByte(value) },
  flag: { sizeBytes: () => 1, write: (writer, value: boolean) => writer.writeByte(value ? 1 : 0) },
  uint16: { sizeBytes: () => 2, write: (writer, value: number) => writer.writeUint16(value) },
  uint32: { sizeBytes: () => 4, write: (writer, value: number) => writer.writeUint32(value) },
  variableByteInteger: {
    sizeBytes: variableByteIntegerSizeBytes,
    write: (writer, value: number) => writer.writeVariableByteInteger(value),
  },
  utf8: { sizeBytes: stringSizeBytes, write: (writer, value: string) => writer.writeUtf8(value) },
  binary: { sizeBytes: binarySizeBytes, write: (writer, value: Uint8Array) => writer.writeBinary(value) },
  utf8Pair: {
    sizeBytes: ([name, value]: UserProperty) => stringSizeBytes(name) + stringSizeBytes(value),
    write: (writer, [name, value]: UserProperty) => {
      writer.writeUtf8(name);
      writer.writeUtf8(value);
    },
  },
};

const DEFINITIONS = perOwner(propertiesOf);

/** Size of the properties that `owner` takes from `source`, without the Property Length before them. */
export function propertiesSizeBytes(owner: PropertyOwner, source: PropertySource): number {
  let sizeBytes = 0;
  forEachProperty(owner, source, ({ wireType }, value) => {
    sizeBytes += 1 + ENCODINGS[wireType].sizeBytes(value);
  });
  return sizeBytes;
}

/** Size of a list of `listSizeBytes` together with the Property Length before it. */
export function withLengthSizeBytes(listSizeBytes: number): number {
  return variableByteIntegerSizeBytes(listSizeBytes) + listSizeBytes;
}

/** Writes the Property Length and the properties; `listSizeBytes` is what {@link propertiesSizeBytes} said. */
export function writeProperties(
  writer: ByteWriter,
  owner: PropertyOwner,
  source: PropertySource,
  listSizeBytes: number,
): void {
  // [MQTT-2.2.2-1] no properties are told by a Property Length of zero.
  writer.writeVariableByteInteger(listSizeBytes);
  if (listSizeBytes === 0) return;
  forEachProperty(owner, source, ({ identifier, wireType }, value) => {
    writer.writeByte(identifier);
    ENCODINGS[wireType].write(writer, value);
  });
}

function forEachProperty(
  owner: PropertyOwner,
  source: PropertySource,
  visit: (property: PropertyDefinition, value: never) => void,
): void {
  for (const property of DEFINITIONS[owner]) {
    const value = source[property.name];
    if (value === undefined) continue;
    if (property.repeatable) for (const each of value as readonly never[]) visit(property, each);
    else visit(property, value as never);
  }
}
