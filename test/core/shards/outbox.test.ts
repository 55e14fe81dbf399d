import { defaultLimits } from "../../../src/core/limits.ts";
import { beforeEach, describe, expect, test } from "vitest";
import type { DurableItem } from "../../../src/core/peers/message.ts";
import { Outbox } from "../../../src/core/peers/outbox.ts";
import { Watermark } from "../../../src/core/peers/watermark.ts";
import { MessageLog } from "../../../src/core/queue/message-log.ts";
import { SegmentHeads } from "../../../src/core/queue/segment-heads.ts";
import { ReasonCode } from "../../../src/core/reason-code.ts";
import { emptyWriteSet } from "../../../src/core/storage-port.ts";
import { MemoryShardStorage } from "../../../src/storage/memory-shard-storage.ts";
import { bytesOf } from "../simulated-client.ts";

const plenty = { messagesMax: 1000, bytesMax: 1_000_000 };
const page = { count: 500, bytes: 1_000_000 };

function item(name: string): DurableItem {
  const message = { topicName: name, payload: bytesOf(name), qos: 2, retain: false } as const;
  return { type: "publish", publication: { message }, publisherClientId: "p" };
}

class Shelf {
  readonly storage = new MemoryShardStorage();
  log = new MessageLog(this.storage, defaultLimits);
  outbox: Outbox;
  readonly #limits: typeof plenty;

  constructor(limits = plenty) {
    this.#limits = limits;
    this.outbox = new Outbox(-1, this.log, limits);
  }

  commit(): void {
    this.storage.commit({ ...emptyWriteSet(), ...this.log.flush() });
    this.log.noteCommitted();
  }

  names(): string[] {
    return this.outbox
      .read(page)
      .map(({ item: one }) => (one.type === "publish" ? one.publication.message.topicName : one.type));
  }

  ordinals(): number[] {
    return this.outbox.read(page).map(({ ordinal }) => ordinal);
  }

  /** The next life reads what is stored. */
  reset(): void {
    this.log = new MessageLog(this.storage, defaultLimits);
    this.outbox = new Outbox(-1, this.log, this.#limits);
    this.outbox.beginRestoring();
    const heads = new SegmentHeads(this.storage);
    const states = new Map<Outbox, number>();
    for (const { deliveryStates, seq } of heads) {
      for (const [, state] of deliveryStates) {
        this.outbox.restoreState(state);
        states.set(this.outbox, seq);
      }
    }
    this.log.restore(heads, states, (number) => (number === -1 ? this.outbox : undefined));
    this.outbox.endRestoring();
  }
}

let shelf: Shelf;

beforeEach(() => {
  shelf = new Shelf();
});

describe("An outbox", () => {
  test("gives out its items in order, once they are written", () => {
    for (const name of ["1", "2"]) shelf.outbox.append(item(name));
    expect(shelf.names()).toEqual([]);
    shelf.commit();
    shelf.outbox.append(item("3"));
    expect(shelf.names()).toEqual(["1", "2"]);
    shelf.commit();
    expect(shelf.names()).toEqual(["1", "2", "3"]);
  });

  test("gives out no more than a batch takes", () => {
    for (let index = 0; index < 30; index += 1) shelf.outbox.append(item(`${index}`));
    shelf.commit();
    expect(shelf.outbox.read({ count: 10, bytes: 1_000_000 })).toHaveLength(10);
  });

  test("forgets what the other shard has, in whatever order it is told", () => {
    const ordinals = ["1", "2", "3"].map((name) => shelf.outbox.append(item(name)) as number);
    shelf.commit();
    shelf.outbox.done(ordinals[1] as number);
    shelf.outbox.done(ordinals[1] as number);
    expect(shelf.names()).toEqual(["1", "3"]);
    shelf.outbox.done(ordinals[0] as number);
    shelf.outbox.done(ordinals[2] as number);
    expect(shelf.outbox.isEmpty).toBe(true);
    expect(shelf.names()).toEqual([]);
  });

  test("takes back what was done before it was written", () => {
    const ordinal = shelf.outbox.append(item("1")) as number;
    shelf.outbox.done(ordinal);
    shelf.commit();
    expect(shelf.names()).toEqual([]);
    expect(shelf.outbox.isEmpty).toBe(true);
  });

  test.each([
    ["messages", { messagesMax: 2, bytesMax: 1_000_000 }],
    ["bytes", { messagesMax: 1000, bytesMax: 200 }],
  ])("takes no more %s than its limit, and again when there is room", (_, limits) => {
    shelf = new Shelf(limits);
    const first = shelf.outbox.append(item("1"));
    shelf.outbox.append(item("2"));
    expect(shelf.outbox.append(item("3"))).toBeUndefined();
    shelf.commit();
    shelf.outbox.done(first as number);
    expect(shelf.outbox.append(item("4"))).toBeDefined();
  });

  test("has in its next life what was not done, under the same numbers", () => {
    for (const name of ["1", "2", "3"]) shelf.outbox.append(item(name));
    shelf.commit();
    const [first] = shelf.ordinals();
    shelf.outbox.done(first as number);
    shelf.outbox.append(item("4"));
    shelf.commit();
    const before = shelf.ordinals();
    shelf.reset();
    expect(shelf.names()).toEqual(["2", "3", "4"]);
    expect(shelf.ordinals()).toEqual(before);
  });

  test("never gives a number twice, though it was empty at the reset", () => {
    const used = new Set<number>();
    for (let life = 0; life < 5; life += 1) {
      for (let count = 0; count < 3; count += 1) {
        const ordinal = shelf.outbox.append(item(`${life}`)) as number;
        expect(used.has(ordinal)).toBe(false);
        used.add(ordinal);
      }
      shelf.commit();
      for (const ordinal of shelf.ordinals()) shelf.outbox.done(ordinal);
      // Something else is written over what is free.
      if (life % 2 === 0) shelf.commit();
      shelf.reset();
      for (const ordinal of shelf.ordinals()) shelf.outbox.done(ordinal);
    }
  });
});

describe("A watermark", () => {
  const { NoMatchingSubscribers, Success } = ReasonCode;
  let watermark: Watermark;

  beforeEach(() => {
    watermark = new Watermark(-5000, shelf.log);
  });

  test("knows what has been applied, and what came of it", () => {
    expect(watermark.outcomeOf(1)).toBeUndefined();
    watermark.note(1, true);
    watermark.note(2, false);
    watermark.note(5, true);
    expect([1, 2, 5].map((sequence) => watermark.outcomeOf(sequence)?.reasonCode)).toEqual([
      Success,
      NoMatchingSubscribers,
      Success,
    ]);
    expect(watermark.outcomeOf(6)).toBeUndefined();
  });

  test("knows it in the next life", () => {
    watermark.note(7, false);
    watermark.note(8, true);
    const next = new Watermark(-5000, shelf.log);
    next.restoreState(watermark.deliveryState());
    expect(next.outcomeOf(7)?.reasonCode).toBe(NoMatchingSubscribers);
    expect(next.outcomeOf(8)?.reasonCode).toBe(Success);
    expect(next.outcomeOf(9)).toBeUndefined();
  });

  test("does not grow with the messages that found nobody", () => {
    for (let sequence = 1; sequence <= 5_000; sequence += 1) watermark.note(sequence, false);
    expect(watermark.deliveryState().receivedQos2.length).toBeLessThanOrEqual(2_001);
  });
});
