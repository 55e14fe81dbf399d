/** Writes the data types of section 1.5 into one packet of known size. */
import { allocateBytes } from "./slab.ts";
import { encodeUtf8Into, utf8SizeBytes } from "./utf8.ts";
import { variableByteIntegerSizeBytes } from "./variable-byte-integer.ts";

/** The greatest length that a two-byte prefix tells. */
const MAXIMUM_PREFIXED_BYTES = 65_535;

/** Size of `text` as a UTF-8 Encoded String, its length prefix included. */
export function stringSizeBytes(text: string): number {
  return 2 + utf8SizeBytes(text);
}

/** Size of `data` as Binary Data, its length prefix included. */
export function binarySizeBytes(data: Uint8Array): number {
  return 2 + data.length;
}

/** Total size of a packet, in bytes, whose Remaining Length is `remainingLength`. */
export function packetSizeBytes(remainingLength: number): number {
  return 1 + variableByteIntegerSizeBytes(remainingLength) + remainingLength;
}

/** Fills the bytes of one packet, front to back. */
export class ByteWriter {
  /** The packet: complete once `remainingLength` bytes were written. */
  readonly bytes: Uint8Array;
  #offset = 0;

  /** Allocates a packet of exactly the right size and writes its fixed header. */
  constructor(firstByte: number, remainingLength: number) {
    this.bytes = allocateBytes(packetSizeBytes(remainingLength));
    this.writeByte(firstByte);
    this.writeVariableByteInteger(remainingLength);
  }

  /** Index of the next byte. */
  get offset(): number {
    return this.#offset;
  }

  writeByte(value: number): void {
    this.bytes[this.#offset++] = value;
  }

  writeUint16(value: number): void {
    this.bytes[this.#offset++] = value >>> 8;
    this.bytes[this.#offset++] = value;
  }

  writeUint32(value: number): void {
    this.writeUint16(value >>> 16);
    this.writeUint16(value & 0xffff);
  }

  writeVariableByteInteger(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest >>>= 7) this.writeByte((rest & 0x7f) | 0x80);
    this.writeByte(rest);
  }

  /** @throws RangeError when `text` takes more than 65,535 bytes. */
  writeUtf8(text: string): void {
    const sizeBytes = utf8SizeBytes(text);
    this.#writeLengthPrefix(sizeBytes);
    encodeUtf8Into(text, sizeBytes, this.bytes, this.#offset);
    this.#offset += sizeBytes;
  }

  /** @throws RangeError when `data` is longer than 65,535 bytes. */
  writeBinary(data: Uint8Array): void {
    this.#writeLengthPrefix(data.length);
    this.writeRaw(data);
  }

  /** `data` without a length prefix. */
  writeRaw(data: Uint8Array): void {
    this.bytes.set(data, this.#offset);
    this.#offset += data.length;
  }

  #writeLengthPrefix(sizeBytes: number): void {
    if (sizeBytes > MAXIMUM_PREFIXED_BYTES) throw new RangeError(`field of ${sizeBytes} bytes is too long`);
    this.writeUint16(sizeBytes);
  }
}
