/** Collects the bytes of a packet that arrives in parts. */

/** Room for the fixed header of most packets and for the whole of the small ones. */
const INITIAL_CAPACITY_BYTES = 64;

/** Of all that collect nothing: most connections, most of the time. */
const NO_BYTES = new Uint8Array(0);

/** A buffer that grows with what arrives, not with what the packet announces: doubling, so in linear time. */
export class PacketAssembler {
  #bytes = NO_BYTES;
  #sizeBytes = 0;

  /** How many bytes are collected; 0 at a packet boundary. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** What it takes in memory; 0 at a packet boundary. */
  get capacityBytes(): number {
    return this.#bytes.length;
  }

  /** A view of the bytes collected. It is only good until the next call of any method. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#sizeBytes);
  }

  /** Adds `part`. */
  append(part: Uint8Array): void {
    this.#reserve(this.#sizeBytes + part.length);
    this.#bytes.set(part, this.#sizeBytes);
    this.#sizeBytes += part.length;
  }

  /** Drops everything, the memory included. */
  clear(): void {
    this.#bytes = NO_BYTES;
    this.#sizeBytes = 0;
  }

  #reserve(capacityBytes: number): void {
    if (capacityBytes <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(capacityBytes, 2 * this.#bytes.length, INITIAL_CAPACITY_BYTES));
    grown.set(this.bytes);
    this.#bytes = grown;
  }
}
