import { LeanClient } from "../load/lean-client.ts";
import { publishTemplate } from "../load/packets.ts";
import { commandTopicOf, endAll, type Kind, populate } from "./population.ts";
import { startHost } from "./workerd.ts";

export interface Memory {
  readonly kind: Kind;
  readonly sessionCount: number;
  /** Live heap of an isolate whose shard has loaded no session, and of one that has loaded all of them. */
  readonly emptyMb: number;
  readonly loadedMb: number;
  /** The whole process, as the operating system sees it, with its sockets and its garbage. */
  readonly residentMb: number;
}

/** Weighs the shard after an eviction and a first PUBLISH, by which it has read all it knows. */
export async function measureMemory(kind: Kind, sessionCount: number): Promise<Memory> {
  const host = await startHost({ isInspected: true });
  const publisher = await LeanClient.connect(host.url, "publisher");
  await publish(publisher);
  const emptyMb = await host.liveHeapMb();
  const clients = await populate(host.url, kind, sessionCount);
  await host.evict();
  await publish(publisher);
  const loadedMb = await host.liveHeapMb();
  const residentMb = host.residentMb();
  endAll([...clients, publisher]);
  await host.stop();
  return { kind, sessionCount, emptyMb, loadedMb, residentMb };
}

/** Resolves with PUBACK: whoever is subscribed to it has been found. */
function publish(publisher: LeanClient): Promise<void> {
  return new Promise((resolve) => {
    publisher.onAcknowledged = resolve;
    publisher.publish(publishTemplate(commandTopicOf(0), Buffer.alloc(64), 1));
  });
}
