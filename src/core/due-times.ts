interface Entry<Item> {
  readonly item: Item;
  readonly dueAtMs: number;
}

/** Up to this length nobody minds what is no longer due. */
const sweepLengthMin = 256;

/**
 * A heap of due times. The true due time of an item may move later without telling the heap (every packet moves
 * a keep alive): `dueOf` is asked when an entry comes up, and a later answer puts it back.
 */
export class DueTimes<Item> {
  readonly #heap: Entry<Item>[] = [];
  /** The earliest entry of each item in the heap, so that an unmoved item is not pushed twice. */
  readonly #scheduled = new Map<Item, number>();
  readonly #dueOf: (item: Item) => number | undefined;
  #sweepLength = sweepLengthMin;

  constructor(dueOf: (item: Item) => number | undefined) {
    this.#dueOf = dueOf;
  }

  /** The earliest due time, or undefined when there is none. */
  earliestMs(): number | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (this.#scheduled.get(top.item) === top.dueAtMs && this.#dueOf(top.item) === top.dueAtMs) {
        return top.dueAtMs;
      }
      if (this.#removeTop(top)) this.schedule(top.item);
    }
    return undefined;
  }

  /** To be called when the item's due time is new or has moved earlier; harmless otherwise. */
  schedule(item: Item): void {
    const dueAtMs = this.#dueOf(item);
    if (dueAtMs === undefined) return;
    const scheduledAtMs = this.#scheduled.get(item);
    if (scheduledAtMs !== undefined && scheduledAtMs <= dueAtMs) return;
    this.#scheduled.set(item, dueAtMs);
    push(this.#heap, { item, dueAtMs });
    if (this.#heap.length > this.#sweepLength) this.#sweep();
  }

  /** Removes and returns one item that is due, or undefined. Items that moved later go back. */
  take(nowMs: number): Item | undefined {
    for (let top = this.#heap[0]; top !== undefined && top.dueAtMs <= nowMs; top = this.#heap[0]) {
      if (!this.#removeTop(top)) continue;
      const dueAtMs = this.#dueOf(top.item);
      if (dueAtMs === undefined) continue;
      if (dueAtMs <= nowMs) return top.item;
      this.schedule(top.item);
    }
    return undefined;
  }

  /** Lets go of items that are no longer due, when there may be as many of them as of the others. */
  #sweep(): void {
    const entries = this.#heap.splice(0);
    for (const { item, dueAtMs } of entries) {
      if (this.#scheduled.get(item) !== dueAtMs) continue;
      if (this.#dueOf(item) === undefined) this.#scheduled.delete(item);
      else push(this.#heap, { item, dueAtMs });
    }
    this.#sweepLength = Math.max(sweepLengthMin, 2 * this.#heap.length);
  }

  /** False for an entry that an earlier one of the same item has replaced. */
  #removeTop({ item, dueAtMs }: Entry<Item>): boolean {
    pop(this.#heap);
    if (this.#scheduled.get(item) !== dueAtMs) return false;
    this.#scheduled.delete(item);
    return true;
  }
}

function push<Item>(heap: Entry<Item>[], entry: Entry<Item>): void {
  let index = heap.push(entry) - 1;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (at(heap, parent).dueAtMs <= entry.dueAtMs) break;
    heap[index] = at(heap, parent);
    index = parent;
  }
  heap[index] = entry;
}

function pop<Item>(heap: Entry<Item>[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let index = 0;
  for (;;) {
    const left = 2 * index + 1;
    if (left >= heap.length) break;
    const right = left + 1;
    const child = right < heap.length && at(heap, right).dueAtMs < at(heap, left).dueAtMs ? right : left;
    if (at(heap, child).dueAtMs >= last.dueAtMs) break;
    heap[index] = at(heap, child);
    index = child;
  }
  heap[index] = last;
}

function at<Item>(heap: Entry<Item>[], index: number): Entry<Item> {
  return heap[index] as Entry<Item>;
}
