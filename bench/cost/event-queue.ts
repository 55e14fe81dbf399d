/** What is to happen when: a binary heap, the earliest first. */
export class EventQueue {
  readonly #heap: { readonly atMs: number; readonly work: () => void }[] = [];

  get nextAtMs(): number {
    return this.#heap[0]?.atMs ?? Infinity;
  }

  add(atMs: number, work: () => void): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push({ atMs, work });
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#at(parent) <= this.#at(index)) return;
      this.#swap(parent, index);
      index = parent;
    }
  }

  /** Takes the next one out; there must be one. */
  take(): () => void {
    this.#swap(0, this.#heap.length - 1);
    const taken = this.#heap.pop();
    if (taken === undefined) throw new Error("nothing is to happen");
    for (let index = 0; ;) {
      const [left, right] = [2 * index + 1, 2 * index + 2];
      const child = this.#at(right) < this.#at(left) ? right : left;
      if (this.#at(child) >= this.#at(index)) return taken.work;
      this.#swap(child, index);
      index = child;
    }
  }

  #at(index: number): number {
    return this.#heap[index]?.atMs ?? Infinity;
  }

  #swap(left: number, right: number): void {
    const [first, second] = [this.#heap[left], this.#heap[right]];
    if (first === undefined || second === undefined) return;
    this.#heap[left] = second;
    this.#heap[right] = first;
  }
}
