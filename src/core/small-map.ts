/**
 * A Map that holds nothing or one entry without a table: a session has dozens of such maps, most with one entry at the
 * most, and an empty Map takes a hundred bytes. No key may be undefined.
 */
export class SmallMap<Key, Value> {
  /** Of the only entry; undefined when there is none, and when there have been more. */
  #key: Key | undefined;
  #value: Value | undefined;
  #table: Map<Key, Value> | undefined;

  get size(): number {
    if (this.#table !== undefined) return this.#table.size;
    return this.#key === undefined ? 0 : 1;
  }

  has(key: Key): boolean {
    return this.#table === undefined ? key === this.#key : this.#table.has(key);
  }

  get(key: Key): Value | undefined {
    if (this.#table !== undefined) return this.#table.get(key);
    return key === this.#key ? this.#value : undefined;
  }

  set(key: Key, value: Value): void {
    if (this.#table === undefined && this.#key !== undefined && key !== this.#key) {
      this.#table = new Map(this);
      this.#key = this.#value = undefined;
    }
    if (this.#table === undefined) {
      this.#key = key;
      this.#value = value;
    } else {
      this.#table.set(key, value);
    }
  }

  /** False when there was no such entry. */
  delete(key: Key): boolean {
    if (this.#table !== undefined) return this.#table.delete(key);
    if (key !== this.#key) return false;
    this.clear();
    return true;
  }

  clear(): void {
    this.#key = this.#value = this.#table = undefined;
  }

  /** In the order of insertion, as a Map's. */
  [Symbol.iterator](): IterableIterator<[Key, Value]> {
    if (this.#table !== undefined) return this.#table.entries();
    return (this.#key === undefined ? [] : [[this.#key, this.#value] as [Key, Value]]).values();
  }

  keys(): IterableIterator<Key> {
    if (this.#table !== undefined) return this.#table.keys();
    return (this.#key === undefined ? [] : [this.#key]).values();
  }

  values(): IterableIterator<Value> {
    if (this.#table !== undefined) return this.#table.values();
    return (this.#key === undefined ? [] : [this.#value as Value]).values();
  }
}
