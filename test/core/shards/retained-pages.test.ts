import { beforeEach, describe, expect, test } from "vitest";
import { Counters } from "../../../src/core/counters.ts";
import { defaultLimits } from "../../../src/core/limits.ts";
import { Retained } from "../../../src/core/topics/retained.ts";
import { RetainedPages } from "../../../src/core/topics/retained-pages.ts";
import { MemoryShardStorage } from "../../../src/storage/memory-shard-storage.ts";
import { textOf } from "../simulated-client.ts";

const nowMs = 1_800_000_000_000;

let retained: Retained;
let pages: RetainedPages;

beforeEach(() => {
  retained = new Retained(new MemoryShardStorage(), defaultLimits, new Counters());
  pages = new RetainedPages(retained);
});

function store(topicName: string, payloadBytes = 1): void {
  const payload = new Uint8Array(payloadBytes).fill(0x78);
  retained.store({ message: { topicName, payload, qos: 1, retain: true } }, nowMs);
}

/** Topic Names page by page; `between` happens after each page. */
function read(filter = "#", between: (page: number) => void = () => {}): string[][] {
  const found: string[][] = [];
  let after: string | undefined;
  do {
    const page = pages.read("1 77", filter, after, nowMs);
    found.push(page.publications.map(({ message }) => message.topicName));
    after = page.after;
    between(found.length);
  } while (after !== undefined);
  return found;
}

describe("Pages of retained messages", () => {
  test("are one, and empty, when nothing matches", () => {
    store("a");
    expect(read("b/#")).toEqual([[]]);
  });

  test("have each message once, at most a hundred a page", () => {
    const names = Array.from({ length: 250 }, (_, index) => `t/${index}`);
    for (const name of names) store(name);
    store("other");
    const found = read("t/#");
    expect(found.map(({ length }) => length)).toEqual([100, 100, 50]);
    expect(found.flat().toSorted()).toEqual(names.toSorted());
  });

  test("end after a hundred when there are no more", () => {
    for (let index = 0; index < 100; index += 1) store(`t/${index}`);
    expect(read()).toHaveLength(1);
  });

  test("are smaller when the messages are large", () => {
    for (let index = 0; index < 10; index += 1) store(`t/${index}`, 100_000);
    const found = read();
    expect(found.flat()).toHaveLength(10);
    for (const page of found) expect(page.length).toBeLessThanOrEqual(3);
  });

  test("go on in the right place though the owner has forgotten where it was", () => {
    const names = Array.from({ length: 250 }, (_, index) => `t/${index}`);
    for (const name of names) store(name);
    const found = read("#", () => (pages = new RetainedPages(retained)));
    expect(found.flat().toSorted()).toEqual(names.toSorted());
  });

  test("leave out what was removed in between, and have the newest of what changed", () => {
    const names = Array.from({ length: 150 }, (_, index) => `t/${String(index).padStart(3, "0")}`);
    for (const name of names) store(name);
    const found = read("#", (page) => {
      if (page > 1) return;
      store("t/120", 0);
      retained.store(
        { message: { topicName: "t/121", payload: new TextEncoder().encode("new"), qos: 1, retain: true } },
        nowMs,
      );
    });
    expect(found.flat()).toHaveLength(149);
    expect(found.flat()).not.toContain("t/120");
    expect(textOf(retained.read("t/121", nowMs)?.message.payload ?? new Uint8Array())).toBe("new");
  });

  test("are the same when asked for again", () => {
    for (let index = 0; index < 250; index += 1) store(`t/${index}`);
    const first = pages.read("1 1", "#", undefined, nowMs);
    const second = pages.read("1 1", "#", first.after, nowMs);
    expect(pages.read("1 1", "#", undefined, nowMs)).toEqual(first);
    expect(pages.read("1 1", "#", first.after, nowMs)).toEqual(second);
  });
});
