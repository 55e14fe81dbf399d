import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DueTimes } from "../../src/core/due-times.ts";

interface Item {
  readonly name: number;
  dueAtMs: number | undefined;
}

function takeAll(times: DueTimes<Item>, nowMs: number): Item[] {
  const taken: Item[] = [];
  for (let item = times.take(nowMs); item !== undefined; item = times.take(nowMs)) taken.push(item);
  return taken;
}

function itemsOf(dueTimes: readonly (number | undefined)[]): Item[] {
  return dueTimes.map((dueAtMs, name) => ({ name, dueAtMs }));
}

const time = fc.nat(100);
const maybeTime = fc.option(time, { nil: undefined });

describe("due times", () => {
  test("come up in their order, as a naive sort has them", () => {
    fc.assert(
      fc.property(fc.array(maybeTime, { maxLength: 40 }), time, (dueTimes, nowMs) => {
        const times = new DueTimes<Item>(({ dueAtMs }) => dueAtMs);
        for (const item of itemsOf(dueTimes)) times.schedule(item);
        const known = dueTimes.filter((dueAtMs) => dueAtMs !== undefined).toSorted((a, b) => a - b);
        expect(times.earliestMs()).toBe(known[0]);
        expect(takeAll(times, nowMs).map(({ dueAtMs }) => dueAtMs)).toEqual(
          known.filter((dueAtMs) => dueAtMs <= nowMs),
        );
        expect(times.earliestMs()).toBe(known.find((dueAtMs) => dueAtMs > nowMs));
      }),
    );
  });

  /** Moves: an item gets another due time; an earlier one is told, a later one or none need not be. */
  const move = fc.record({ index: fc.nat(9), dueAtMs: maybeTime, told: fc.boolean() });
  const look = fc.record({ nowMs: time });
  const step = fc.oneof({ weight: 3, arbitrary: move }, { weight: 1, arbitrary: look });

  test("are right however items move, as long as moves to earlier are told", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const items = itemsOf(Array.from({ length: 10 }, () => undefined));
        const waiting = new Set<Item>();
        const times = new DueTimes<Item>(({ dueAtMs }) => dueAtMs);
        for (const one of steps) {
          if ("nowMs" in one) {
            const expected = [...waiting].filter((item) => (item.dueAtMs ?? Infinity) <= one.nowMs);
            const taken = takeAll(times, one.nowMs);
            expect(taken.map(({ name }) => name).toSorted()).toEqual(
              expected.map(({ name }) => name).toSorted(),
            );
            for (const item of taken) waiting.delete(item);
          } else {
            const item = items[one.index] as Item;
            const isEarlier = (one.dueAtMs ?? Infinity) < (item.dueAtMs ?? Infinity) || !waiting.has(item);
            item.dueAtMs = one.dueAtMs;
            if (isEarlier || one.told) times.schedule(item);
            if (item.dueAtMs === undefined) waiting.delete(item);
            else if (isEarlier || one.told) waiting.add(item);
          }
          const earliest = Math.min(...[...waiting].map(({ dueAtMs }) => dueAtMs ?? Infinity));
          expect(times.earliestMs() ?? Infinity).toBe(earliest);
        }
      }),
    );
  });

  test("give an item that was taken back when it is scheduled again", () => {
    const item: Item = { name: 1, dueAtMs: 10 };
    const times = new DueTimes<Item>(({ dueAtMs }) => dueAtMs);
    times.schedule(item);
    expect(takeAll(times, 10)).toEqual([item]);
    expect(times.earliestMs()).toBeUndefined();
    item.dueAtMs = 20;
    times.schedule(item);
    expect(times.take(19)).toBeUndefined();
    expect(times.take(20)).toBe(item);
  });
});
