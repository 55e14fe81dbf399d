/** Frames that wait to be sent as one, in a buffer that grows with them: doubling, so in linear time. */
export class JoinedBytes {
  #buffer = new Uint8Array(0);
  #sizeBytes = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  append(bytes: Uint8Array): void {
    const sizeBytes = this.#sizeBytes + bytes.length;
    if (sizeBytes > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(sizeBytes, 2 * this.#buffer.length));
      grown.set(this.#buffer.subarray(0, this.#sizeBytes));
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, this.#sizeBytes);
    this.#sizeBytes = sizeBytes;
  }

  /** Everything so far, which is then forgotten. */
  take(): Uint8Array {
    const taken = this.#buffer.subarray(0, this.#sizeBytes);
    this.#buffer = new Uint8Array(0);
    this.#sizeBytes = 0;
    return taken;
  }
}
