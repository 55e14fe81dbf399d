import type { Boot } from "./boot.ts";
import type { CoreConfig } from "./config.ts";
import type { CostMeter } from "./cost/cost-meter.ts";
import type { Counters } from "./counters.ts";
import type { Output } from "./output.ts";
import { Peers } from "./peers/peers.ts";
import type { MessageLog } from "./queue/message-log.ts";
import type { Delivering } from "./session/delivering.ts";
import { LocalSubscribers } from "./session/local-subscribers.ts";
import { PeerDeliveries } from "./session/peer-deliveries.ts";
import { Replaying } from "./session/replaying.ts";
import { Sessions } from "./session/sessions.ts";
import { SubscriberRoutes } from "./session/subscriber-routes.ts";
import { SubscriptionTree } from "./session/subscription-tree.ts";
import type { ShardStorage } from "./storage-port.ts";
import { Retained } from "./topics/retained.ts";
import { Routes } from "./topics/routes.ts";
import type { ServerTopics } from "./topics/server-topics.ts";
import { TopicOwner } from "./topics/topic-owner.ts";
import { TopicOwners } from "./topics/topic-owners.ts";

/** What the parts are made of. */
export interface Foundation {
  readonly shardIndex: number;
  readonly config: CoreConfig;
  readonly storage: ShardStorage;
  readonly boot: Boot;
  readonly counters: Counters;
  readonly cost: CostMeter;
  readonly output: Output;
  readonly log: MessageLog;
  readonly delivering: Delivering;
  readonly serverTopics: ServerTopics;
  readonly isStorageFull: () => boolean;
  readonly mustCommit: () => boolean;
  readonly nowMs: () => number;
}

/** The two roles of a shard, sessions and topics, and the peers between those of different shards. */
export interface ShardParts {
  readonly peers: Peers;
  readonly sessions: Sessions;
  readonly subscriberRoutes: SubscriberRoutes;
  readonly retained: Retained;
  readonly replaying: Replaying;
  readonly routes: Routes;
  readonly owners: TopicOwners;
}

/** Makes the parts, which know each other in a circle, from what they stand on. */
export function assemble(foundation: Foundation): ShardParts {
  const { shardIndex: self, config, storage, boot, counters, delivering, log, output } = foundation;
  const { limits, placement } = config;
  const peers: Peers = new Peers({
    self,
    layout: placement.layout,
    limits,
    log,
    output,
    counters,
    mustCommit: foundation.mustCommit,
    claimNumberBlock: () => boot.claimNumberBlock(),
    handlers: {
      handlePublishItem: (item, from, settle, nowMs) => owner.handleItem(item, from, settle, nowMs),
      handleDeliverItem: (item, from, nowMs) => deliveries.handle(item, from, nowMs),
      handleOutcome: (item, outcome, to, settle, isKept) =>
        owner.handleOutcome(item, outcome, to, settle, isKept, foundation.nowMs()),
    },
  });
  const claimBoot = (): number => boot.claim();
  const subscriberRoutes = new SubscriberRoutes(self, placement, peers, {
    claim: claimBoot,
    number: () => boot.number,
  });
  const tree = new SubscriptionTree();
  const subscribers = new LocalSubscribers(tree, delivering, (publication, sharedFilter, nowMs) =>
    owners.handOver(publication, sharedFilter, nowMs),
  );
  const sessions = new Sessions({
    storage,
    cost: foundation.cost,
    log,
    limits,
    peers,
    tree,
    routes: subscriberRoutes,
    claimBoot,
    handOver: (messages, nowMs) => subscribers.handOver(messages, nowMs),
  });
  const retained = new Retained(storage, limits, counters);
  const routes = new Routes(storage);
  const { serverTopics } = foundation;
  const owner: TopicOwner = new TopicOwner({
    self,
    placement,
    limits,
    retained,
    serverTopics,
    routes,
    peers,
    subscribers,
    counters,
    isStorageFull: foundation.isStorageFull,
  });
  const owners: TopicOwners = new TopicOwners(self, placement, owner, peers, serverTopics);
  const replaying = new Replaying(delivering, owners);
  const deliveries = new PeerDeliveries(peers, subscribers, replaying, subscriberRoutes);
  return { peers, sessions, subscriberRoutes, retained, replaying, routes, owners };
}
