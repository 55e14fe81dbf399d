import { beforeEach, describe, expect, test } from "vitest";
import type { Members } from "../../../src/core/peers/message.ts";
import { Gathering } from "../../../src/core/peers/gathering.ts";
import { ReasonCode } from "../../../src/core/reason-code.ts";
import { emptyWriteSet } from "../../../src/core/storage-port.ts";
import { Routes } from "../../../src/core/topics/routes.ts";
import { SharedChoice } from "../../../src/core/topics/shared-choice.ts";
import { MemoryShardStorage } from "../../../src/storage/memory-shard-storage.ts";

const shared = "$share/group/t";
const self = 0;
const { NoMatchingSubscribers, QuotaExceeded, Success } = ReasonCode;

describe("The shard that gets the next message of a Shared Subscription", () => {
  let routes: Routes;
  let local: Members | undefined;
  let choice: SharedChoice;

  beforeEach(() => {
    routes = new Routes(new MemoryShardStorage());
    local = undefined;
    choice = new SharedChoice(self, routes, { membersOf: () => local });
  });

  function add(shard: number, members: Members | undefined, nowMs = 0): void {
    routes.add(shared, shard, { boot: 1, serial: 1 }, members, nowMs);
  }

  function choose(count: number, tried: number[] = [], nowMs = 0): number[] {
    return Array.from({ length: count }, () => choice.choose(shared, tried, nowMs)?.shard ?? -1);
  }

  test("is none when nobody has a member", () => {
    expect(choice.choose(shared, [], 0)).toBeUndefined();
  });

  test("is in proportion to the members that are online, and evenly spread", () => {
    add(1, { online: 3, total: 3 });
    add(2, { online: 1, total: 5 });
    const shards = choose(8);
    expect(shards.filter((shard) => shard === 1)).toHaveLength(6);
    expect(shards.slice(0, 4).filter((shard) => shard === 2)).toHaveLength(1);
  });

  test("is the owner's own in its turn", () => {
    add(1, { online: 1, total: 1 });
    local = { online: 1, total: 1 };
    expect(choose(4).toSorted()).toEqual([self, self, 1, 1]);
  });

  test("is one with somebody online, if there is any", () => {
    add(1, { online: 0, total: 9 });
    add(2, { online: 1, total: 1 });
    expect(choice.choose(shared, [], 0)).toEqual({ shard: 2, queues: false });
  });

  test("is one where the message waits, when nobody is online anywhere", () => {
    add(1, { online: 0, total: 3 });
    add(2, { online: 0, total: 1 });
    expect(choice.choose(shared, [], 0)?.queues).toBe(true);
    expect(choose(8).filter((shard) => shard === 1)).toHaveLength(6);
  });

  test("is none that said that nobody is online there", () => {
    add(1, undefined);
    add(2, undefined);
    expect(choice.choose(shared, [1], 0)).toEqual({ shard: 2, queues: false });
    expect(choice.choose(shared, [1, 2], 0)?.queues).toBe(true);
  });

  test("is asked again when it is long since it said that nobody is online", () => {
    add(1, { online: 0, total: 1 });
    expect(choice.choose(shared, [], 60_000)).toEqual({ shard: 1, queues: true });
    expect(choice.choose(shared, [], 60_001)).toEqual({ shard: 1, queues: false });
  });

  test("is no longer one whose route has gone", () => {
    add(1, { online: 1, total: 1 });
    add(2, { online: 1, total: 1 });
    routes.remove(shared, 1, { boot: 1, serial: 1 });
    expect(new Set(choose(4))).toEqual(new Set([2]));
  });
});

describe("The routes of an owner", () => {
  const version = (serial: number, boot = 1): { boot: number; serial: number } => ({ boot, serial });
  let storage: MemoryShardStorage;
  let routes: Routes;

  beforeEach(() => {
    storage = new MemoryShardStorage();
    routes = new Routes(storage);
  });

  function commit(): void {
    storage.commit({ ...emptyWriteSet(), routes: routes.takeUnwritten() });
  }

  test("name each shard once, and each Shared Subscription once", () => {
    for (const filter of ["a/+", "a/b", "#", "$share/g/a/b", "$share/g/#"]) {
      for (const shard of [1, 2]) routes.add(filter, shard, version(1), undefined, 0);
    }
    const { shards, sharedFilters } = routes.match("a/b");
    expect(shards.toSorted()).toEqual([1, 2]);
    expect(sharedFilters.toSorted()).toEqual(["$share/g/#", "$share/g/a/b"]);
  });

  test("are those of the newest word, by boot and then by serial", () => {
    routes.add("f", 1, version(5, 2), undefined, 0);
    routes.remove("f", 1, version(9, 1));
    expect(routes.match("f").shards).toEqual([1]);
    routes.remove("f", 1, version(5, 2));
    expect(routes.match("f").shards).toEqual([]);
    routes.add("f", 1, version(1, 3), undefined, 0);
    routes.remove("f", 1, version(100, 2));
    expect(routes.match("f").shards).toEqual([1]);
  });

  test("are read again in the next life, and those removed are not", () => {
    routes.add("f", 1, version(1), undefined, 0);
    routes.add("$share/g/f", 2, version(1), undefined, 0);
    routes.add("gone", 1, version(1), undefined, 0);
    commit();
    routes.remove("gone", 1, version(1));
    commit();
    expect(new Routes(storage).list()).toEqual(routes.list());
    expect(routes.list()).toHaveLength(2);
  });

  test("are written once when the same is told again", () => {
    routes.add("f", 1, version(1), undefined, 0);
    commit();
    routes.add("f", 1, version(1), undefined, 0);
    routes.remove("f", 1, version(0));
    expect(routes.hasUnwritten).toBe(false);
  });

  test("go for one topic and shard when it has nobody, Shared Subscriptions apart", () => {
    for (const filter of ["a/+", "b", "$share/g/a/b"]) {
      for (const shard of [1, 2]) routes.add(filter, shard, version(1), undefined, 0);
    }
    routes.removeStale("a/b", 1, version(1));
    expect(routes.match("a/b")).toEqual({ shards: [2], sharedFilters: ["$share/g/a/b"] });
    expect(routes.match("b").shards.toSorted()).toEqual([1, 2]);
  });
});

describe("What comes of a message that goes to several places", () => {
  let told: number[];
  let gathering: Gathering;

  beforeEach(() => {
    told = [];
    gathering = new Gathering(({ reasonCode }) => void told.push(reasonCode));
  });

  test("is told when all have answered, once", () => {
    const [one, other] = [gathering.expect(), gathering.expect()];
    gathering.close();
    one?.({ reasonCode: Success });
    expect(told).toEqual([]);
    other?.({ reasonCode: NoMatchingSubscribers });
    expect(told).toEqual([Success]);
  });

  test("is that nobody matched when all say so, or there is none", () => {
    const one = gathering.expect();
    one?.({ reasonCode: NoMatchingSubscribers });
    gathering.close();
    expect(told).toEqual([NoMatchingSubscribers]);
  });

  test("is told at once when there is no other place", () => {
    gathering.noteMatched();
    gathering.close();
    expect(told).toEqual([Success]);
  });

  test("is success when one place fails and another has it", () => {
    const [one, other] = [gathering.expect(), gathering.expect()];
    gathering.close();
    one?.({ reasonCode: QuotaExceeded });
    other?.({ reasonCode: Success });
    expect(told).toEqual([Success]);
  });
});
