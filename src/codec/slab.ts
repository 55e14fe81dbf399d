/** Memory for small packets: an ArrayBuffer each would cost more than all the rest of encoding them. */

const SLAB_BYTES = 8192;
/** Larger arrays get a buffer of their own; it also bounds what a slab wastes at its end. */
const MAXIMUM_SHARE_BYTES = 512;

let slab = new Uint8Array(SLAB_BYTES);
let used = 0;

/** A zeroed array of `sizeBytes` that nobody else writes to; small ones are views of a shared buffer. */
export function allocateBytes(sizeBytes: number): Uint8Array {
  if (sizeBytes > MAXIMUM_SHARE_BYTES) return new Uint8Array(sizeBytes);
  if (used + sizeBytes > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    used = 0;
  }
  used += sizeBytes;
  return slab.subarray(used - sizeBytes, used);
}
