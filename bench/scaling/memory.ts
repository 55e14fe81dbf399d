/** What a client takes of a shard's memory, by the heap of this process. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Harness } from "../../test/core/harness.ts";
import { LoadClient } from "./load-client.ts";

export interface Memory {
  /** Of a connected client with one subscription, and its route at another shard. */
  readonly bytesPerClient: number;
  /** Of a Topic Filter with a wildcard in the first levels, at each other shard. */
  readonly bytesPerRoute: number;
}

const shards = 4;
const clientCount = 8000;

export function measureMemory(): Memory {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const harness = new Harness({ shards });
  const clients: LoadClient[] = [];
  const connect = (count: number, filterOf: (index: number) => string): number => {
    const before = heap();
    for (let index = 0; index < count; index += 1) {
      const client = new LoadClient(harness, { clientId: `client/${clients.length}`, keepAliveSec: 60 });
      client.subscribe(filterOf(index), 0);
      clients.push(client);
      harness.trace.length = 0;
      for (const { commits } of harness.shards) commits.length = 0;
    }
    return (heap() - before) / count;
  };
  // What is made once is not counted.
  connect(100, (index) => `warm/${index}`);
  const bytesPerClient = connect(clientCount, (index) => `room/${index}/temperature`);
  const bytesWithRoutes = connect(clientCount, (index) => `+/${index}/temperature`);
  // A client of the first kind has a route at 3/4 of a shard, one of the second at 3.
  const bytesPerRoute = (bytesWithRoutes - bytesPerClient) / (shards - 1 - (shards - 1) / shards);
  return { bytesPerClient, bytesPerRoute };
}
