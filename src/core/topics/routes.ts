import type { Members, RouteVersion } from "../peers/message.ts";
import { isNewer } from "../peers/message.ts";
import type { RouteWrite, ShardStorage } from "../storage-port.ts";
import { parseSharedFilter } from "../topic.ts";
import { isServerFilter } from "./server-topics.ts";
import { TopicTree } from "./topic-tree.ts";

export interface Route {
  readonly filter: string;
  readonly version: RouteVersion;
  /** As last heard; unknown after a sleep. */
  members: { readonly members: Members; readonly atMs: number } | undefined;
}

/** That nobody is online is believed this long; after that it is asked. */
const offlineMs = 60_000;

/** All routes of one Topic Filter. */
interface Routed {
  readonly shards: Map<number, Route>;
  /** By ShareName. */
  readonly groups: Map<string, Map<number, Route>>;
}

/** Where a message goes, apart from this shard. */
export interface RoutedTo {
  readonly shards: readonly number[];
  /** `$share/{ShareName}/{filter}`. */
  readonly sharedFilters: readonly string[];
}

const nowhere: ReadonlyMap<number, Route> = new Map();

/**
 * Which other shards have subscribers of the topics of this one: one route for a Topic Filter and shard, however many
 * sessions the shard has. Kept in rows, so that nobody has to tell again after a deploy; read on first need.
 */
export class Routes {
  readonly #storage: ShardStorage;
  #tree: TopicTree<Routed> | undefined;
  #unwritten = new Map<string, RouteWrite>();
  /** Routes for topics of the server. */
  #serverCount = 0;

  constructor(storage: ShardStorage) {
    this.#storage = storage;
  }

  get hasUnwritten(): boolean {
    return this.#unwritten.size > 0;
  }

  /** There are routes for topics of the server. */
  get hasServerFilters(): boolean {
    this.#loaded();
    return this.#serverCount > 0;
  }

  match(topicName: string): RoutedTo {
    const shards = new Set<number>();
    const sharedFilters: string[] = [];
    this.#loaded().matchFilters(topicName, (routed) => {
      for (const shard of routed.shards.keys()) shards.add(shard);
      for (const group of routed.groups.values()) {
        const [route] = group.values();
        if (route !== undefined) sharedFilters.push(route.filter);
      }
    });
    return { shards: [...shards], sharedFilters };
  }

  /** The shards with members of a Shared Subscription, and how many as far as is known. */
  groupOf(sharedFilter: string): ReadonlyMap<number, Route> {
    return this.#routesOf(sharedFilter) ?? nowhere;
  }

  membersOf({ members }: Route, nowMs: number): Members | undefined {
    const isOld = members?.members.online === 0 && nowMs - members.atMs > offlineMs;
    return isOld ? undefined : members?.members;
  }

  /** A change that is older than what is known changes nothing. */
  add(
    filter: string,
    shard: number,
    version: RouteVersion,
    members: Members | undefined,
    nowMs: number,
  ): void {
    const routes = this.#routesFor(filter);
    const known = routes.get(shard);
    if (known !== undefined && !isNewer(version, known.version)) return;
    if (known === undefined && isServerFilter(filter)) this.#serverCount += 1;
    routes.set(shard, { filter, version, members: members && { members, atMs: nowMs } });
    this.#write(filter, shard, version);
  }

  /** Removes the route unless it is newer than `through`. */
  remove(filter: string, shard: number, through: RouteVersion): void {
    const known = this.#routesOf(filter)?.get(shard);
    if (known === undefined || isNewer(known.version, through)) return;
    if (isServerFilter(filter)) this.#serverCount -= 1;
    this.#delete(filter, shard);
    this.#write(filter, shard, undefined);
  }

  /** The shard has nobody for the topic: its routes for it, Shared Subscriptions apart, are void up to `through`. */
  removeStale(topicName: string, shard: number, through: RouteVersion): void {
    const filters: string[] = [];
    this.#loaded().matchFilters(topicName, ({ shards }) => {
      const route = shards.get(shard);
      if (route !== undefined) filters.push(route.filter);
    });
    for (const filter of filters) this.remove(filter, shard, through);
  }

  noteMembers(sharedFilter: string, shard: number, members: Members, nowMs: number): void {
    const route = this.#routesOf(sharedFilter)?.get(shard);
    if (route !== undefined) route.members = { members, atMs: nowMs };
  }

  takeUnwritten(): RouteWrite[] {
    const unwritten = [...this.#unwritten.values()];
    this.#unwritten.clear();
    return unwritten;
  }

  /** All routes. */
  list(): { readonly filter: string; readonly shard: number }[] {
    const found: { filter: string; shard: number }[] = [];
    this.#loaded().forEach(({ shards, groups }) => {
      for (const routes of [shards, ...groups.values()]) {
        for (const [shard, { filter }] of routes) found.push({ filter, shard });
      }
    });
    return found;
  }

  #write(filter: string, shard: number, version: RouteVersion | undefined): void {
    this.#unwritten.set(`${shard} ${filter}`, { filter, shard, version });
  }

  #routesFor(filter: string): Map<number, Route> {
    const { shareName, topicFilter } = partsOf(filter);
    const tree = this.#loaded();
    let routed = tree.get(topicFilter);
    if (routed === undefined) tree.set(topicFilter, (routed = { shards: new Map(), groups: new Map() }));
    if (shareName === undefined) return routed.shards;
    let group = routed.groups.get(shareName);
    if (group === undefined) routed.groups.set(shareName, (group = new Map()));
    return group;
  }

  #routesOf(filter: string): Map<number, Route> | undefined {
    const { shareName, topicFilter } = partsOf(filter);
    const routed = this.#loaded().get(topicFilter);
    return shareName === undefined ? routed?.shards : routed?.groups.get(shareName);
  }

  #delete(filter: string, shard: number): void {
    const { shareName, topicFilter } = partsOf(filter);
    const routed = this.#loaded().get(topicFilter);
    if (routed === undefined) return;
    if (shareName === undefined) {
      routed.shards.delete(shard);
    } else {
      const group = routed.groups.get(shareName);
      group?.delete(shard);
      if (group?.size === 0) routed.groups.delete(shareName);
    }
    if (routed.shards.size === 0 && routed.groups.size === 0) this.#loaded().delete(topicFilter);
  }

  #loaded(): TopicTree<Routed> {
    if (this.#tree === undefined) {
      this.#tree = new TopicTree();
      for (const { filter, shard, version } of this.#storage.readRoutes()) {
        if (isServerFilter(filter)) this.#serverCount += 1;
        this.#routesFor(filter).set(shard, { filter, version, members: undefined });
      }
    }
    return this.#tree;
  }
}

function partsOf(filter: string): { shareName?: string; topicFilter: string } {
  return parseSharedFilter(filter) ?? { topicFilter: filter };
}
