/** Reads the data types of section 1.5 from the bytes of one packet. */
import { malformed } from "./fault.ts";
import { decodeUtf8 } from "./utf8.ts";
import { parseVariableByteInteger, variableByteIntegerSizeBytes } from "./variable-byte-integer.ts";

/** A cursor over one packet. Every read past its end throws a Malformed Packet fault. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #offset: number;

  /** Reads `bytes` from `offset` up to, not including, `end`. */
  constructor(bytes: Uint8Array, offset: number, end: number) {
    this.#bytes = bytes;
    this.#offset = offset;
    this.#end = end;
  }

  /** Index of the next byte. */
  get offset(): number {
    return this.#offset;
  }

  /** How many bytes are left. */
  get remaining(): number {
    return this.#end - this.#offset;
  }

  readByte(): number {
    return this.#bytes[this.#take(1)]!;
  }

  readUint16(): number {
    return this.#uint16At(this.#take(2));
  }

  readUint32(): number {
    const at = this.#take(4);
    return this.#uint16At(at) * 0x1_0000 + this.#uint16At(at + 2);
  }

  readVariableByteInteger(): number {
    const value = parseVariableByteInteger(this.#bytes, this.#offset, this.#end);
    if (value < 0) throw malformed("Packet ends inside a Variable Byte Integer");
    this.#offset += variableByteIntegerSizeBytes(value);
    return value;
  }

  /** A UTF-8 Encoded String: a two-byte length and that many bytes. */
  readUtf8(): string {
    const length = this.readUint16();
    const at = this.#take(length);
    return decodeUtf8(this.#bytes, at, at + length);
  }

  /** Binary Data: a two-byte length and that many bytes. The result is a copy. */
  readBinary(): Uint8Array {
    const length = this.readUint16();
    const at = this.#take(length);
    return this.#bytes.slice(at, at + length);
  }

  /** A copy of all that is left. */
  readRest(): Uint8Array {
    return this.#bytes.slice(this.#take(this.remaining), this.#end);
  }

  #uint16At(at: number): number {
    return (this.#bytes[at]! << 8) | this.#bytes[at + 1]!;
  }

  /** Moves past `sizeBytes` and returns where they begin. */
  #take(sizeBytes: number): number {
    const at = this.#offset;
    if (at + sizeBytes > this.#end) throw malformed("Packet ends inside a field");
    this.#offset = at + sizeBytes;
    return at;
  }
}
