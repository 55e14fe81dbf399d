/** Keys in order, from page to page: whoever goes on where the last page ended need not sort them again. */
export class SortedKeys {
  #keys: readonly string[] = [];
  /** The key that was handed out last. */
  #last: string | undefined;
  #position = 0;

  /** The keys after that one. Those that have come since the first page are left out. */
  *after(after: string | undefined, list: () => readonly string[]): Iterable<string> {
    if (after === undefined || after !== this.#last) {
      this.#keys = list().toSorted();
      this.#position = after === undefined ? 0 : firstAfter(this.#keys, after);
    }
    for (; this.#position < this.#keys.length;) {
      const key = this.#keys[this.#position] as string;
      this.#position += 1;
      this.#last = key;
      yield key;
    }
    this.#keys = [];
    this.#last = undefined;
  }
}

function firstAfter(keys: readonly string[], after: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] as string) <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}
