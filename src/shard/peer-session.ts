import { RpcTarget } from "cloudflare:workers";

/** A session that another shard holds while it calls often. */
export class PeerSession extends RpcTarget {
  readonly #peer: (bytes: Uint8Array) => Promise<Uint8Array>;

  constructor(peer: (bytes: Uint8Array) => Promise<Uint8Array>) {
    super();
    this.#peer = peer;
  }

  peer(bytes: Uint8Array): Promise<Uint8Array> {
    return this.#peer(bytes);
  }
}
