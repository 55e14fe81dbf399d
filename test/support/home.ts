import { Placement } from "../../src/core/placement.ts";
import { unique } from "./unique.ts";

/** Names that are all at home on one shard of so many. */
export class Home {
  readonly #placement: Placement;
  readonly #shard: number;

  constructor(shard: number, shards: number) {
    this.#shard = shard;
    this.#placement = new Placement({ epoch: 1, shards, topicKeyLevels: 2 });
  }

  clientId(prefix: string): string {
    return this.#find(prefix, (name) => this.#placement.sessionShard(name));
  }

  topic(prefix: string): string {
    return this.#find(prefix, (name) => this.#placement.topicShard(name));
  }

  #find(prefix: string, shardOf: (name: string) => number): string {
    for (;;) {
      const name = unique(prefix);
      if (shardOf(name) === this.#shard) return name;
    }
  }
}
