/** What every implementation of the port ShardStorage does. Runs in Node and inside workerd. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emptyPolicy } from "../../src/core/access/policy.ts";
import type { Publication } from "../../src/core/publication.ts";
import type {
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
  publication,
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

  test("retained messages, and tells their names without them", () => {
    const distinct = fc.uniqueArray(publication, { selector: topicNameOf, maxLength: 4 });
    fc.assert(
      fc.property(distinct, (retained) => {
        const { storage, reopen } = makeStorage();
        storage.commit(writing({ retained }));
        for (const one of retained) expect(storage.readRetained(topicNameOf(one))).toStrictEqual(one);
        const names = retained.map((one) => [topicNameOf(one), nameOf(one)] as const);
        expect(retainedNames(storage)).toStrictEqual(new Map(names));
        expect(retainedNames(reopen())).toStrictEqual(new Map(names));
      }),
      runs,
    );
  });

  test("the newest of several writes of one record", () => {
    fc.assert(
      fc.property(sessionRecord, sessionRecord, publication, publication, (first, second, older, newer) => {
        const { storage, reopen } = makeStorage();
        const { clientId } = first;
        const message = { ...newer.message, topicName: topicNameOf(older) };
        storage.commit(writing({ sessions: [first], retained: [older] }));
        storage.commit(writing({ sessions: [{ ...second, clientId }], retained: [{ ...newer, message }] }));
        expect([...reopen().readSessions()]).toStrictEqual([{ ...second, clientId }]);
        expect(reopen().readRetained(topicNameOf(older))).toStrictEqual({ ...newer, message });
      }),
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
    const [session, message] = samples();
    const { storage, reopen } = makeStorage();
    storage.commit(writing({ sessions: [session], retained: [message] }));
    storage.commit({
      ...emptyWriteSet(),
      sessions: new Map([[session.clientId, undefined]]),
      retained: new Map([[topicNameOf(message), undefined]]),
    });
    expectEmpty(storage, topicNameOf(message));
    expectEmpty(reopen(), topicNameOf(message));
  });
}

function isEmptyAtFirst(makeStorage: () => OpenStorage): void {
  test("it has nothing to read", () => {
    const { storage, reopen } = makeStorage();
    expectEmpty(storage, "topic");
    expectEmpty(reopen(), "topic");
  });

  test("reading it writes no row", () => {
    const { storage, reopen } = makeStorage();
    expectEmpty(storage, "topic");
    const again = reopen();
    expectEmpty(again, "topic");
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

function commitsAtomically(makeStorage: () => OpenStorage): void {
  const [session, message, segment] = samples();
  const failing: WriteSet = {
    ...writing({ sessions: [session], retained: [message] }),
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
      expect(one.readRetained(topicNameOf(message))).toBeUndefined();
      expect(one.readSegment(segment.slot)).toBeUndefined();
    }
  });

  test("that fails as the first one leaves an empty database that takes the next one", () => {
    const { storage, reopen } = makeStorage();
    expect(() => storage.commit(failing)).toThrow("segment fails");
    expectEmpty(storage, topicNameOf(message));
    expectEmpty(reopen(), topicNameOf(message));
    storage.commit(writing({ sessions: [session] }));
    expect([...reopen().readSessions()]).toStrictEqual([session]);
  });

  test("writes all kinds of records at once", () => {
    const { storage, reopen } = makeStorage();
    storage.commit({
      ...writing({ sessions: [session], retained: [message], segments: [segment] }),
      shard: { boot: 2, settledBoot: 1 },
    });
    const again = reopen();
    expect(again.readShard()).toEqual({ boot: 2, settledBoot: 1 });
    expect([...again.readSessions()]).toStrictEqual([session]);
    expect(again.readRetained(topicNameOf(message))).toStrictEqual(message);
    expect(again.readSegment(segment.slot)).toStrictEqual(segment);
  });
}

function countsRows(makeStorage: () => OpenStorage): void {
  const [session, message, segment] = samples();

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
    expect(rowsOf(writing({ retained: [message] }))).toBe(1);
    expect(rowsOf(writing({ segments: [segment] }))).toBe(1);
    expect(rowsOf(writing({ routes: [route] }))).toBe(1);
    expect(rowsOf({ ...emptyWriteSet(), policy: emptyPolicy })).toBe(1);
    expect(rowsOf(writing({ sessions: [session], retained: [message], segments: [segment] }))).toBe(3);
  });

  test("are one for each overwritten record", () => {
    const all = writing({ sessions: [session], retained: [message], segments: [segment] });
    expect(rowsOf({ ...emptyWriteSet(), shard: { boot: 2, settledBoot: 1 } })).toBe(1);
    const policy = { ...emptyWriteSet(), policy: emptyPolicy };
    expect(rowsOf(policy, policy)).toBe(1);
    expect(rowsOf(writing({ sessions: [session] }), all)).toBe(1);
    expect(rowsOf(writing({ retained: [message] }), all)).toBe(1);
    expect(rowsOf(writing({ segments: [segment] }), all)).toBe(1);
  });

  test("are one for each deleted record, and none for one that was not there", () => {
    const all = writing({ sessions: [session], retained: [message] });
    const sessions = new Map([[session.clientId, undefined]]);
    const retained = new Map([[topicNameOf(message), undefined]]);
    expect(rowsOf({ ...emptyWriteSet(), sessions }, all)).toBe(1);
    expect(rowsOf({ ...emptyWriteSet(), retained }, all)).toBe(1);
    const routes = [{ ...route, version: undefined }];
    expect(rowsOf(writing({ routes }), writing({ routes: [route] }))).toBe(1);
    expect(rowsOf({ ...emptyWriteSet(), sessions, retained, routes })).toBe(0);
  });
}

const route = { filter: "a/#", shard: 3, version: { boot: 1, serial: 5 } };

interface Records {
  readonly sessions?: readonly SessionRecord[];
  readonly retained?: readonly Publication[];
  readonly segments?: SegmentRecord[];
  readonly routes?: readonly RouteWrite[];
}

function writing({ sessions = [], retained = [], segments = [], routes = [] }: Records): WriteSet {
  return {
    routes,
    sessions: new Map(sessions.map((record) => [record.clientId, record])),
    retained: new Map(retained.map((one) => [topicNameOf(one), one])),
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

function samples(): [SessionRecord, Publication, SegmentRecord] {
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
    { message },
    {
      slot: 1,
      seq: 1,
      messages: [{ sizeBytes: 70, targets: [target] }],
      publications: [{ message }],
      deliveryStates: [[1, deliveryState]],
    },
  ];
}

function expectEmpty(storage: ShardStorage, topicName: string): void {
  expect(storage.readShard()).toBeUndefined();
  expect(storage.readPolicy()).toBeUndefined();
  expect([...storage.readSessions()]).toEqual([]);
  expect([...storage.readRetainedNames()]).toEqual([]);
  expect(storage.readRetained(topicName)).toBeUndefined();
  expect([...storage.readSegmentHeads()]).toEqual([]);
  expect(storage.readSegmentHead(1)).toBeUndefined();
  expect(storage.readSegment(1)).toBeUndefined();
}

function byClientId(storage: ShardStorage): Map<string, SessionRecord> {
  return new Map([...storage.readSessions()].map((record) => [record.clientId, record]));
}

function retainedNames(storage: ShardStorage): Map<string, object> {
  return new Map([...storage.readRetainedNames()].map((name) => [name.topicName, name]));
}

function nameOf({ message: { topicName }, expiresAtMs }: Publication): object {
  return expiresAtMs === undefined ? { topicName } : { topicName, expiresAtMs };
}

function topicNameOf({ message }: Publication): string {
  return message.topicName;
}

/** Whether more than the head came along is the storage's own business. */
function headOf(head: SegmentHead | undefined): SegmentHead | undefined {
  if (head === undefined) return undefined;
  const { slot, seq, messages, deliveryStates } = head;
  return { slot, seq, messages, deliveryStates };
}
