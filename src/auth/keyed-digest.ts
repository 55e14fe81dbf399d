import { hmacKey, type HmacKey, hmacSha256, randomBytes, toBase64, utf8 } from "./bytes.ts";

/** Digests of secrets under a key that nobody else has, and that is gone with this object. */
export class KeyedDigest {
  #key: Promise<HmacKey> | undefined;

  async of(text: string): Promise<string> {
    // Not sooner: there is no chance to be had before the first event.
    const key = (this.#key ??= hmacKey(randomBytes(32)));
    return toBase64(await hmacSha256(await key, utf8(text)));
  }
}
