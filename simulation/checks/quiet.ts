/** What holds when the faults are over and everything has had its time. */
import type { Message } from "../history.ts";
import { matches, sharedPart, Violation } from "../history.ts";
import type { World } from "../world.ts";

/** Everybody has an answer to everything. */
export function checkAnswers({ clients }: World): void {
  for (const { plan, isReady, outbound, subscribing, backlogCount } of clients) {
    const { clientId } = plan;
    if (!isReady) throw new Violation("answers", `${clientId} is not connected`);
    if (outbound.count > 0) throw new Violation("answers", `${clientId} lacks ${outbound.count}`);
    if (backlogCount > 0) throw new Violation("answers", `${clientId} has not sent ${backlogCount}`);
    if (!subscribing.isSettled) throw new Violation("answers", `${clientId} waits for SUBACK`);
  }
}

/** By topic, all that it may keep: the last write that was acknowledged, or one after it. */
export function retainedCandidates({ history }: World): Map<string, Set<string>> {
  const candidates = new Map<string, Set<string>>();
  for (const { topicName, retain, isClearing, id, ackedAtMs, sentAtMs } of history.messages.values()) {
    if (!retain || sentAtMs === undefined) continue;
    const known = candidates.get(topicName);
    if (known === undefined || ackedAtMs !== undefined) candidates.set(topicName, new Set());
    const values = candidates.get(topicName) as Set<string>;
    if (known === undefined && ackedAtMs === undefined) values.add("");
    values.add(isClearing ? "" : id);
  }
  return candidates;
}

/** `reader`: a client that has just subscribed. */
export function checkRetained(
  world: World,
  candidates: ReadonlyMap<string, ReadonlySet<string>>,
  reader: number,
): void {
  const found = new Map<string, string>();
  for (const { client, message, retain } of world.history.receipts) {
    if (client === reader && retain) found.set(message.topicName, message.id);
  }
  for (const [topicName, values] of candidates) {
    const kept = found.get(topicName) ?? "";
    if (values.has(kept)) continue;
    throw new Violation("retained", `${topicName} keeps "${kept}", not "${[...values].join('" or "')}"`);
  }
  for (const topicName of found.keys()) {
    if (!candidates.has(topicName)) throw new Violation("retained", `${topicName} is kept`);
  }
}

/** Whoever subscribes when all is done gets nothing of before but what is retained. */
export function checkNothingOld({ history }: World, readers: ReadonlySet<number>): void {
  for (const { client, message, retain } of history.receipts) {
    if (readers.has(client) && !retain) {
      throw new Violation("over", `client ${client} gets ${message.id}, which was over before`);
    }
  }
}

/** "owner filter shard". */
export function checkRoutes({ history, placement, shards }: World): void {
  const actual = new Set<string>();
  const held = new Set<string>();
  const filtersOf = shards.map(() => new Set<string>());
  for (const shard of shards) {
    const core = shard.awake();
    for (const { filter, shard: to } of core.routes()) actual.add(`${shard.index} ${filter} ${to}`);
    for (const { subscriptions } of core.sessions) {
      for (const filter of subscriptions.keys()) {
        filtersOf[shard.index]?.add(sharedPart(filter) ?? filter);
        note(held, placement, filter, shard.index);
      }
    }
  }
  const expected = new Set<string>();
  for (const { client, filter, sinceMs, endedAtMs } of history.interests) {
    if (sinceMs === undefined || endedAtMs !== undefined) continue;
    note(expected, placement, filter, placement.sessionShard(history.planOf(client).clientId));
  }
  for (const route of expected) {
    if (!actual.has(route)) throw new Violation("routes", `${route} is missing`);
  }
  for (const route of actual) {
    const [owner, to] = [route.split(" ").at(0), route.split(" ").at(-1)].map(
      (index) => shards[Number(index)],
    );
    // What a reset orphaned, or came again after a sleep, is found out when a message finds nobody.
    const isExcused = to?.lossCount !== 0 || (owner?.memory ?? 0) > 1;
    if (held.has(route)) continue;
    if (!isExcused || isFoundOut(route, placement, [...history.messages.values()], filtersOf)) {
      throw new Violation("routes", `${route} is left`);
    }
  }
}

/** A message has been swept along the route that nobody at its end is subscribed to. Another filter may hide it. */
function isFoundOut(
  route: string,
  placement: World["placement"],
  messages: readonly Message[],
  filtersOf: readonly ReadonlySet<string>[],
): boolean {
  const [owner = "", filter = "", to = ""] = route.split(" ");
  const others = [...(filtersOf[Number(to)] ?? [])];
  return messages.some(
    ({ topicName, isSwept }) =>
      isSwept === true &&
      placement.topicShard(topicName) === Number(owner) &&
      matches(filter, topicName) &&
      !others.some((other) => matches(other, topicName)),
  );
}

function note(routes: Set<string>, placement: World["placement"], filter: string, shard: number): void {
  for (const owner of placement.filterShards(filter)) {
    if (owner !== shard) routes.add(`${owner} ${filter} ${shard}`);
  }
}

/** With everybody gone, and everything acknowledged, nothing is left to do. */
export function checkRest({ shards }: World): void {
  for (const shard of shards) {
    if (!shard.isAtRest) throw new Violation("rest", `shard ${shard.index}: ${shard.restlessness}`);
    const core = shard.awake();
    if (core.clock.outboxDueAtMs !== undefined)
      throw new Violation("rest", `shard ${shard.index} has an outbox`);
    // Where numbering between shards has come to must be known for good.
    const newest = new Map<number, number>();
    for (const { seq, deliveryStates } of shard.disk.storage.readSegmentHeads()) {
      for (const [number] of deliveryStates) if (number < 0) newest.set(number, seq);
    }
    const left = core.log.segmentCount - new Set(newest.values()).size;
    if (left > 0) throw new Violation("rest", `the log of shard ${shard.index} has ${left} segments`);
  }
}
