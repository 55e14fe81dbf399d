/** Pages of what a shard has, in the order of keys: what comes and goes between two pages moves nothing else. */

export interface PageRequest {
  /** The key after which the page begins; absent: from the beginning. */
  readonly after?: string;
  readonly countMax: number;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** The key of the last item; absent when nothing comes after it. */
  readonly after?: string;
}

interface Keyed<Entry> {
  readonly key: string;
  readonly entry: Entry;
}

/** One look at every entry, with a few pages in memory. Only those of the page are made into items. */
export function pageOf<Entry, Item>(
  entries: Iterable<Entry>,
  keyOf: (entry: Entry) => string,
  toItem: (entry: Entry) => Item,
  { after, countMax }: PageRequest,
): Page<Item> {
  let first: Keyed<Entry>[] = [];
  for (const entry of entries) {
    const key = keyOf(entry);
    if (after !== undefined && key <= after) continue;
    first.push({ key, entry });
    // One more than the page tells that there is another.
    if (first.length > 4 * countMax) first = firstOf(first, countMax + 1);
  }
  const found = firstOf(first, countMax + 1);
  const page = found.slice(0, countMax);
  const last = page.at(-1);
  const items = page.map(({ entry }) => toItem(entry));
  return found.length > countMax && last !== undefined ? { items, after: last.key } : { items };
}

function firstOf<Entry>(entries: readonly Keyed<Entry>[], count: number): Keyed<Entry>[] {
  return entries.toSorted((left, right) => (left.key < right.key ? -1 : 1)).slice(0, count);
}
