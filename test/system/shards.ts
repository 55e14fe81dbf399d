import { afterAll, afterEach, beforeAll } from "vitest";
import { Placement } from "../../src/core/placement.ts";
import { closeAllClients } from "../support/clients.ts";
import { unique } from "../support/unique.ts";
import { type Broker, type BrokerOptions, startBroker } from "./broker.ts";

const SETUP_MAX_MS = 60_000;

/** A broker with these options for all tests of a file. */
export function useBrokerWith(options: BrokerOptions): { readonly running: Broker } {
  let broker: Broker | undefined;
  beforeAll(async () => {
    broker = await startBroker(options);
  }, SETUP_MAX_MS);
  afterEach(closeAllClients);
  afterAll(async () => {
    await broker?.kill();
  });
  return {
    get running() {
      if (broker === undefined) throw new Error("the broker runs only inside tests");
      return broker;
    },
  };
}

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

/** The broker's address, naming the client ahead of its CONNECT. */
export function hinted(url: string, clientId: string): string {
  return `${url}?clientId=${encodeURIComponent(clientId)}`;
}
