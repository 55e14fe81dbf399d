import { RpcTarget } from "cloudflare:workers";

/** A session that another shard holds while it calls often. */
export class PeerSession extends RpcTarget {
  readonly #peer: (bytes: Uint8Array) => Promise<Uint8Array>;
  readonly #onEnded: () => void;

  constructor(peer: (bytes: Uint8Array) => Promise<Uint8Array>, onEnded: () => void) {
    super();
    this.#peer = peer;
    this.#onEnded = onEnded;
  }

  peer(bytes: Uint8Array): Promise<Uint8Array> {
    return this.#peer(bytes);
  }

  /** The other shard has ended it, or is gone. */
  [Symbol.dispose](): void {
    this.#onEnded();
  }
}
