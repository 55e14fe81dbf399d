import { describe, expect, test } from "vitest";
import { defaultLimits } from "../../../src/core/limits.ts";
import { MessageLog } from "../../../src/core/queue/message-log.ts";
import { SegmentHeads } from "../../../src/core/queue/segment-heads.ts";
import type { LogSession, Segment } from "../../../src/core/queue/segment.ts";
import { storedBytesOf } from "../../../src/core/queue/segment.ts";
import type { DeliveryState, LogTarget } from "../../../src/core/storage-port.ts";
import { emptyWriteSet } from "../../../src/core/storage-port.ts";
import { MemoryShardStorage } from "../../../src/storage/memory-shard-storage.ts";
import { bytesOf } from "../simulated-client.ts";

/** A session that takes its messages in order, when it is told to. */
class Taker implements LogSession {
  readonly sessionNumber: number;
  deliveryStateSegment?: Segment | undefined;
  takenThrough = 0;
  nextOrdinal = 1;
  readonly #places = new Map<number, { segment: Segment; sizeBytes: number }>();

  constructor(sessionNumber: number) {
    this.sessionNumber = sessionNumber;
  }

  isPending(ordinal: number): boolean {
    return ordinal > this.takenThrough;
  }

  deliveryState(): DeliveryState {
    const { nextOrdinal, takenThrough: sentThrough } = this;
    return { nextOrdinal, sentThrough, inflight: [], receivedQos2: [] };
  }

  onLogged(ordinal: number, segment: Segment, sizeBytes: number): void {
    this.#places.set(ordinal, { segment, sizeBytes });
  }

  onFound({ ordinal }: LogTarget, segment: Segment, sizeBytes: number): void {
    this.onLogged(ordinal, segment, sizeBytes);
  }

  take(log: MessageLog, count: number): void {
    for (let left = count; left > 0 && this.takenThrough < this.nextOrdinal - 1; left -= 1) {
      this.takenThrough += 1;
      const place = this.#places.get(this.takenThrough);
      this.#places.delete(this.takenThrough);
      if (place !== undefined) log.release(place.segment, place.sizeBytes);
    }
    log.noteAcknowledged(this, 0);
  }
}

class Shelf {
  readonly storage = new MemoryShardStorage();
  readonly log: MessageLog;
  readonly takers = new Map<number, Taker>();
  #count = 0;

  constructor(takerCount: number, logSparseBytesMax = defaultLimits.logSparseBytesMax) {
    this.log = new MessageLog(this.storage, { logSparseBytesMax });
    for (let number = 1; number <= takerCount; number += 1) this.takers.set(number, new Taker(number));
    this.log.restore(new SegmentHeads(this.storage), new Map(), (number) => this.takers.get(number));
  }

  taker(number: number): Taker {
    return this.takers.get(number) as Taker;
  }

  publish(payloadBytes: number, ...numbers: number[]): void {
    this.#count += 1;
    const payload = bytesOf(`${this.#count} `.padEnd(payloadBytes, "x"));
    const publication = { message: { topicName: "t", payload, qos: 1, retain: false } } as const;
    for (const number of numbers) {
      const taker = this.taker(number);
      const ordinal = taker.nextOrdinal;
      taker.nextOrdinal += 1;
      this.log.append(publication, { sessionNumber: number, ordinal, qos: 1, retain: false }, taker);
    }
  }

  flush(): void {
    this.storage.commit({ ...emptyWriteSet(), ...this.log.flush() });
    this.log.noteCommitted();
  }

  /** What all rows take, dead ones included. */
  get storedBytes(): number {
    let bytes = 0;
    for (const head of this.storage.readSegmentHeads()) bytes += storedBytesOf(head);
    return bytes;
  }

  payloads(number: number): string[] {
    const taker = this.taker(number);
    const range = { after: taker.takenThrough, through: taker.nextOrdinal - 1 };
    const page = this.log.read(taker, range, 0, { count: 1e6, bytes: 1e9 });
    return page.messages.map(({ publication }) =>
      String.fromCharCode(...publication.message.payload.slice(0, 8)).replace(/ .*/, ""),
    );
  }
}

/** `LOG_HOURS=168` is a week, and takes some minutes. */
const hours = Number(process.env["LOG_HOURS"] ?? 1);

const away = 1;
const present = 2;

describe("A session that is away beside one that takes everything", () => {
  test(
    "keeps less than twice its messages in storage, and its messages in order",
    { timeout: 30_000 * hours },
    () => {
      const shelf = new Shelf(2);
      const expected: string[] = [];
      // 100 messages a second in 20 flushes a second; one message in 100 is for the session that is away.
      const seconds = hours * 3600;
      for (let second = 0, number = 0; second < seconds; second += 1) {
        for (let flush = 0; flush < 20; flush += 1) {
          for (let index = 0; index < 5; index += 1) {
            number += 1;
            const isForBoth = flush === 0 && index === 0;
            if (isForBoth) expected.push(String(number));
            shelf.publish(200, ...(isForBoth ? [away, present] : [present]));
          }
          shelf.flush();
          shelf.taker(present).take(shelf.log, 5);
        }
      }
      const messageBytes = storedBytesOf({
        messages: [
          { sizeBytes: 64 + 3 + 200, targets: [{ sessionNumber: 1, ordinal: 1, qos: 1, retain: false }] },
        ],
        deliveryStates: [],
      });
      expect(shelf.storedBytes).toBeLessThan(2 * seconds * messageBytes);
      expect(shelf.payloads(away)).toEqual(expected);
      // One row more for about 60 flushes with something to keep.
      const rowsPerFlush = shelf.storage.rowsWritten / (seconds * 20);
      expect(rowsPerFlush).toBeLessThan(1.01);
    },
  );

  test("costs no further row once everything is packed", () => {
    const shelf = new Shelf(2, 0);
    for (let round = 0; round < 10; round += 1) {
      shelf.publish(200, away, present);
      for (let index = 0; index < 4; index += 1) shelf.publish(200, present);
      shelf.flush();
      shelf.taker(present).take(shelf.log, 5);
    }
    shelf.flush();
    const before = shelf.storage.rowsWritten;
    for (let round = 0; round < 10; round += 1) {
      shelf.publish(200, present);
      shelf.flush();
      shelf.taker(present).take(shelf.log, 1);
    }
    expect(shelf.storage.rowsWritten - before).toBeLessThanOrEqual(11);
  });
});

describe("A large backlog that is gone", () => {
  test("leaves dead rows, which are deleted when they take more than everything else", () => {
    const shelf = new Shelf(2);
    for (let round = 0; round < 40; round += 1) {
      for (let index = 0; index < 10; index += 1) shelf.publish(50_000, away);
      shelf.flush();
    }
    expect(shelf.storedBytes).toBeGreaterThan(20_000_000);
    shelf.taker(away).take(shelf.log, 400);
    for (let round = 0; round < 5; round += 1) {
      shelf.publish(200, present);
      shelf.flush();
    }
    expect(shelf.storedBytes).toBeLessThan(2_000_000);
  });

  test("does not let sequences go back when the object starts anew", () => {
    const shelf = new Shelf(1);
    for (let round = 0; round < 40; round += 1) {
      for (let index = 0; index < 10; index += 1) shelf.publish(50_000, away);
      shelf.flush();
    }
    shelf.taker(away).take(shelf.log, 400);
    for (let round = 0; round < 5; round += 1) {
      shelf.publish(200, away);
      shelf.flush();
      shelf.taker(away).take(shelf.log, 1);
    }
    const { nextSeq } = shelf.log;
    const next = new MessageLog(shelf.storage, defaultLimits);
    next.restore(new SegmentHeads(shelf.storage), new Map(), () => undefined);
    expect(next.nextSeq).toBe(nextSeq);
  });
});

test("A message that many await is written once when its row is packed", () => {
  const shelf = new Shelf(100, 0);
  const everybody = Array.from({ length: 99 }, (_, index) => index + 2);
  for (let round = 0; round < 5; round += 1) {
    shelf.publish(1000, ...everybody);
    for (let index = 0; index < 20; index += 1) shelf.publish(1000, away);
    shelf.flush();
    shelf.taker(away).take(shelf.log, 20);
  }
  for (const number of everybody.slice(0, 60)) shelf.taker(number).take(shelf.log, 5);
  shelf.flush();
  shelf.publish(10, away);
  shelf.flush();
  expect(shelf.payloads(99)).toHaveLength(5);
  expect(shelf.storedBytes).toBeLessThan(200_000);
});
