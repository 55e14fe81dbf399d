/** What every implementation of the port ShardStorage does. Runs in Node and inside workerd. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emptyPolicy } from "../../src/core/access/policy.ts";
import type {
  RetainedBlockRecord,
  RouteWrite,
  SegmentHead,
  SegmentRecord,
  SessionRecord,
  ShardStorage,
  WriteSet,
} from "../../src/core/storage-port.ts";
import { emptyWriteSet } from "../../src/core/storage-port.ts";
import {
  policyRecord,
  retainedBlock,
  routeRecord,
  segmentRecord,
  sessionRecord,
  shardRecord,
} from "./arbitrary-records.ts";

export interface OpenStorage {
  readonly storage: ShardStorage;
  /** The same data through a new object. */
  reopen(): ShardStorage;
}

const runs = { numRuns: 60 };

export function describeShardStorage(name: string, makeStorage: () => OpenStorage): void {
  describe(`${name} as a ShardStorage`, () => {
    describe("keeps", () => {
      keepsRecords(makeStorage);
    });
    describe("when it is empty", () => {
      isEmptyAtFirst(makeStorage);
    });
    describe("segments", () => {
      keepsSegments(makeStorage);
    });
    describe("blocks of retained messages", () => {
      keepsRetainedBlocks(makeStorage);
    });
    describe("a commit", () => {
      commitsAtomically(makeStorage);
    });
    describe("rows written", () => {
      countsRows(makeStorage);
    });
  });
}

function keepsRecords(makeStorage: () => OpenStorage): void {
  test("the shard's record", () => {
    fc.assert(
      fc.property(shardRecord, (shard) => {
        const { storage, reopen } = makeStorage();
        storage.commit({ ...emptyWriteSet(), shard });
        expect(storage.readShard()).toStrictEqual(shard);
        expect(reopen().readShard()).toStrictEqual(shard);
      }),
      runs,
    );
  });

  test("sessions, with every optional field or without", () => {
    const distinct = fc.uniqueArray(sessionRecord, { selector: ({ clientId }) => clientId, maxLength: 4 });
    fc.assert(
      fc.property(distinct, (records) => {
        const { storage, reopen } = makeStorage();
        storage.commit(writing({ sessions: records }));
        expect(byClientId(storage)).toStrictEqual(new Map(records.map((one) => [one.clientId, one])));
        expect(byClientId(reopen())).toStrictEqual(byClientId(storage));
      }),
      runs,
    );
  });

  test("the newest of several writes of one record", () => {
    fc.assert(
      fc.property(
        sessionRecord,
        sessionRecord,
        retainedBlock,
        retainedBlock,
        (first, second, older, newer) => {
          const { storage, reopen } = makeStorage();
          const { clientId } = first;
          const { slot } = older;
          storage.commit(writing({ sessions: [first], retainedBlocks: [older] }));
          const sessions = [{ ...second, clientId }];
          storage.commit(writing({ sessions, retainedBlocks: [{ ...newer, slot }] }));
          expect([...reopen().readSessions()]).toStrictEqual(sessions);
          expect(blocksOf(reopen())).toStrictEqual([{ ...newer, slot }]);
        },
      ),
      runs,
    );
  });

  test("routes, until they are deleted", () => {
    const distinct = fc.uniqueArray(routeRecord, {
      selector: ({ filter, shard }) => `${shard} ${filter}`,
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(distinct, (routes) => {
        const { storage, reopen } = makeStorage();
        storage.commit(writing({ routes }));
        const inOrder = (found: Iterable<unknown>): string[] =>
          Array.from(found, (one) => JSON.stringify(one)).toSorted();
        const [gone, ...others] = routes as [RouteWrite, ...RouteWrite[]];
        expect(inOrder(reopen().readRoutes())).toStrictEqual(inOrder(routes));
        storage.commit(writing({ routes: [{ ...gone, version: undefined }] }));
        expect(inOrder(reopen().readRoutes())).toStrictEqual(inOrder(others));
      }),
      runs,
    );
  });

  test("the newest policy", () => {
    fc.assert(
      fc.property(policyRecord, policyRecord, (older, policy) => {
        const { storage, reopen } = makeStorage();
        storage.commit({ ...emptyWriteSet(), policy: older });
        storage.commit({ ...emptyWriteSet(), policy });
        expect(storage.readPolicy()).toStrictEqual(policy);
        expect(reopen().readPolicy()).toStrictEqual(policy);
      }),
      runs,
    );
  });

  test("nothing of what was deleted", () => {
    const [session, block] = samples();
    const { storage, reopen } = makeStorage();
    storage.commit(writing({ sessions: [session], retainedBlocks: [block] }));
    storage.commit({
      ...emptyWriteSet(),
      sessions: new Map([[session.clientId, undefined]]),
      retainedBlocks: new Map([[block.slot, undefined]]),
    });
    expectEmpty(storage);
    expectEmpty(reopen());
  });
}

function isEmptyAtFirst(makeStorage: () => OpenStorage): void {
  test("it has nothing to read", () => {
    const { storage, reopen } = makeStorage();
    expectEmpty(storage);
    expectEmpty(reopen());
  });

  test("reading it writes no row", () => {
    const { storage, reopen } = makeStorage();
    expectEmpty(storage);
    const again = reopen();
    expectEmpty(again);
    expect([storage.rowsWritten, again.rowsWritten]).toEqual([0, 0]);
  });
}

function keepsSegments(makeStorage: () => OpenStorage): void {
  test("come back whole, and their heads without the messages", () => {
    fc.assert(
      fc.property(segmentRecord, (segment) => {
        const { storage, reopen } = makeStorage();
        storage.commit(writing({ segments: [segment] }));
        for (const one of [storage, reopen()]) {
          expect(one.readSegment(segment.slot)).toStrictEqual(segment);
          expect(headOf(one.readSegmentHead(segment.slot))).toStrictEqual(headOf(segment));
          expect([...one.readSegmentHeads()].map(headOf)).toStrictEqual([headOf(segment)]);
        }
      }),
      runs,
    );
  });

  test("of an overwritten slot are gone, and heads come in the order of seq", () => {
    const segments = fc.uniqueArray(segmentRecord, { selector: ({ seq }) => seq, maxLength: 12 });
    fc.assert(
      fc.property(segments, (written) => {
        const { storage, reopen } = makeStorage();
        for (const segment of written) storage.commit(writing({ segments: [segment] }));
        const bySlot = new Map(written.map((segment) => [segment.slot, segment]));
        const left = [...bySlot.values()].toSorted((one, other) => one.seq - other.seq);
        expect([...reopen().readSegmentHeads()].map(headOf)).toStrictEqual(left.map(headOf));
        for (const segment of left) expect(storage.readSegment(segment.slot)).toStrictEqual(segment);
      }),
      runs,
    );
  });

  test("of an unused slot are undefined", () => {
    const [, , segment] = samples();
    const { storage } = makeStorage();
    storage.commit(writing({ segments: [segment] }));
    expect(storage.readSegment(segment.slot + 1)).toBeUndefined();
    expect(storage.readSegmentHead(segment.slot + 1)).toBeUndefined();
  });
}

function keepsRetainedBlocks(makeStorage: () => OpenStorage): void {
  test("come back whole, and their heads without the messages", () => {
    const distinct = fc.uniqueArray(retainedBlock, { selector: ({ slot }) => slot, maxLength: 4 });
    fc.assert(
      fc.property(distinct, (blocks) => {
        const { storage, reopen } = makeStorage();
        storage.commit(writing({ retainedBlocks: blocks }));
        const inOrder = blocks.toSorted((one, other) => one.slot - other.slot);
        for (const one of [storage, reopen()]) expect(blocksOf(one)).toStrictEqual(inOrder);
      }),
      runs,
    );
  });

  test("are the same when their messages are written again as they were read", () => {
    fc.assert(
      fc.property(retainedBlock, (block) => {
        const { storage, reopen } = makeStorage();
        storage.commit(writing({ retainedBlocks: [block] }));
        const publications = storage.readRetainedPublications(block.slot) ?? [];
        storage.commit(writing({ retainedBlocks: [{ ...block, publications }] }));
        expect(blocksOf(reopen())).toStrictEqual([block]);
      }),
      runs,
    );
  });

  test("of an unused slot are undefined", () => {
    const [, block] = samples();
    const { storage } = makeStorage();
    storage.commit(writing({ retainedBlocks: [block] }));
    expect(storage.readRetainedPublications(block.slot + 1)).toBeUndefined();
  });
}

function commitsAtomically(makeStorage: () => OpenStorage): void {
  const [session, block, segment] = samples();
  const failing: WriteSet = {
    ...writing({ sessions: [session], retainedBlocks: [block] }),
    shard: { boot: 7, settledBoot: 6 },
    segments: failingAfter(segment),
  };

  test("that fails in the middle leaves what was there before", () => {
    const { storage, reopen } = makeStorage();
    const before = { ...session, incarnation: session.incarnation + 1 };
    storage.commit({ ...writing({ sessions: [before] }), shard: { boot: 1, settledBoot: 0 } });
    expect(() => storage.commit(failing)).toThrow("segment fails");
    for (const one of [storage, reopen()]) {
      expect(one.readShard()).toEqual({ boot: 1, settledBoot: 0 });
      expect([...one.readSessions()]).toStrictEqual([before]);
      expect(blocksOf(one)).toEqual([]);
      expect(one.readSegment(segment.slot)).toBeUndefined();
    }
  });

  test("that fails as the first one leaves an empty database that takes the next one", () => {
    const { storage, reopen } = makeStorage();
    expect(() => storage.commit(failing)).toThrow("segment fails");
    expectEmpty(storage);
    expectEmpty(reopen());
    storage.commit(writing({ sessions: [session] }));
    expect([...reopen().readSessions()]).toStrictEqual([session]);
  });

  test("writes all kinds of records at once", () => {
    const { storage, reopen } = makeStorage();
    storage.commit({
      ...writing({ sessions: [session], retainedBlocks: [block], segments: [segment] }),
      shard: { boot: 2, settledBoot: 1 },
    });
    const again = reopen();
    expect(again.readShard()).toEqual({ boot: 2, settledBoot: 1 });
    expect([...again.readSessions()]).toStrictEqual([session]);
    expect(blocksOf(again)).toStrictEqual([block]);
    expect(again.readSegment(segment.slot)).toStrictEqual(segment);
  });
}

function countsRows(makeStorage: () => OpenStorage): void {
  const [session, block, segment] = samples();

  /** Rows that a commit is billed, once the tables are there. */
  function rowsOf(writes: WriteSet, before: WriteSet = emptyWriteSet()): number {
    const { storage } = makeStorage();
    storage.commit({ ...before, shard: { boot: 1, settledBoot: 0 } });
    const found = storage.rowsWritten;
    storage.commit(writes);
    return storage.rowsWritten - found;
  }

  test("are none for an empty commit", () => {
    expect(rowsOf(emptyWriteSet())).toBe(0);
  });

  test("are one for each new record", () => {
    expect(rowsOf(writing({ sessions: [session] }))).toBe(1);
    expect(rowsOf(writing({ retainedBlocks: [block] }))).toBe(1);
    expect(rowsOf(writing({ segments: [segment] }))).toBe(1);
    expect(rowsOf(writing({ routes: [route] }))).toBe(1);
    expect(rowsOf({ ...emptyWriteSet(), policy: emptyPolicy })).toBe(1);
    expect(rowsOf(writing({ sessions: [session], retainedBlocks: [block], segments: [segment] }))).toBe(3);
  });

  test("are one for each overwritten record", () => {
    const all = writing({ sessions: [session], retainedBlocks: [block], segments: [segment] });
    expect(rowsOf({ ...emptyWriteSet(), shard: { boot: 2, settledBoot: 1 } })).toBe(1);
    const policy = { ...emptyWriteSet(), policy: emptyPolicy };
    expect(rowsOf(policy, policy)).toBe(1);
    expect(rowsOf(writing({ sessions: [session] }), all)).toBe(1);
    expect(rowsOf(writing({ retainedBlocks: [block] }), all)).toBe(1);
    expect(rowsOf(writing({ segments: [segment] }), all)).toBe(1);
  });

  test("are one for each deleted record, and none for one that was not there", () => {
    const all = writing({ sessions: [session], retainedBlocks: [block] });
    const sessions = new Map([[session.clientId, undefined]]);
    const retainedBlocks = new Map([[block.slot, undefined]]);
    expect(rowsOf({ ...emptyWriteSet(), sessions }, all)).toBe(1);
    expect(rowsOf({ ...emptyWriteSet(), retainedBlocks }, all)).toBe(1);
    const routes = [{ ...route, version: undefined }];
    expect(rowsOf(writing({ routes }), writing({ routes: [route] }))).toBe(1);
    expect(rowsOf({ ...emptyWriteSet(), sessions, retainedBlocks, routes })).toBe(0);
  });
}

const route = { filter: "a/#", shard: 3, version: { boot: 1, serial: 5 } };

interface Records {
  readonly sessions?: readonly SessionRecord[];
  readonly retainedBlocks?: readonly RetainedBlockRecord[];
  readonly segments?: SegmentRecord[];
  readonly deadSlots?: readonly number[];
  readonly routes?: readonly RouteWrite[];
}

function writing({ sessions = [], retainedBlocks = [], segments = [], ...others }: Records): WriteSet {
  return {
    ...emptyWriteSet(),
    ...others,
    sessions: new Map(sessions.map((record) => [record.clientId, record])),
    retainedBlocks: new Map(retainedBlocks.map((block) => [block.slot, block])),
    segments,
  };
}

/** Segments of which the second cannot be read. */
function failingAfter(segment: SegmentRecord): SegmentRecord[] {
  const broken = Object.defineProperty({ ...segment }, "slot", {
    enumerable: true,
    get: () => {
      throw new Error("segment fails");
    },
  });
  return [segment, broken];
}

function samples(): [SessionRecord, RetainedBlockRecord, SegmentRecord] {
  const message = { topicName: "a/b", payload: new Uint8Array([1]), qos: 1 as const, retain: true };
  const deliveryState = { nextOrdinal: 2, sentThrough: 0, inflight: [], receivedQos2: [3] };
  const target = { sessionNumber: 1, ordinal: 1, qos: 1 as const, retain: false };
  return [
    {
      clientId: "client",
      sessionNumber: 1,
      incarnation: 1,
      attachedBoot: 1,
      sessionExpiryIntervalSec: 60,
      subscriptions: [],
      deliveryState,
      deliveryStateSeq: 1,
    },
    {
      slot: 1,
      seq: 1,
      names: [{ topicName: "a/b", sizeBytes: 70 }],
      cleared: ["c"],
      publications: [{ publication: { message } }],
    },
    {
      slot: 1,
      seq: 1,
      messages: [{ sizeBytes: 70, targets: [target] }],
      publications: [{ message }],
      deliveryStates: [[1, deliveryState]],
    },
  ];
}

function expectEmpty(storage: ShardStorage): void {
  expect(storage.readShard()).toBeUndefined();
  expect(storage.readPolicy()).toBeUndefined();
  expect([...storage.readSessions()]).toEqual([]);
  expect(blocksOf(storage)).toEqual([]);
  expect(storage.readRetainedPublications(1)).toBeUndefined();
  expect([...storage.readSegmentHeads()]).toEqual([]);
  expect(storage.readSegmentHead(1)).toBeUndefined();
  expect(storage.readSegment(1)).toBeUndefined();
}

function byClientId(storage: ShardStorage): Map<string, SessionRecord> {
  return new Map([...storage.readSessions()].map((record) => [record.clientId, record]));
}

/** By slot; messages are decoded. */
function blocksOf(storage: ShardStorage): RetainedBlockRecord[] {
  const heads = [...storage.readRetainedHeads()].toSorted((one, other) => one.slot - other.slot);
  return heads.map(({ slot, seq, names, cleared }) => {
    const stored = storage.readRetainedPublications(slot) ?? [];
    return { slot, seq, names, cleared, publications: stored.map(({ publication }) => ({ publication })) };
  });
}

/** Whether more than the head came along is the storage's own business. */
function headOf(head: SegmentHead | undefined): SegmentHead | undefined {
  if (head === undefined) return undefined;
  const { slot, seq, messages, deliveryStates, cost } = head;
  return { slot, seq, messages, deliveryStates, ...(cost !== undefined && { cost }) };
}
