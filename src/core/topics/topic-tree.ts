import { SmallMap } from "../small-map.ts";

/**
 * A trie over topic levels. Filters are found by Topic Name ({@link matchFilters}) and Topic Names by filter
 * ({@link matchNames}); both cost the levels and branches that match, never the size of the tree.
 */
interface Node<Value> {
  /** Absent until there is one: most nodes are leaves. */
  children: SmallMap<string, Node<Value>> | undefined;
  value: Value | undefined;
}

function newNode<Value>(): Node<Value> {
  return { children: undefined, value: undefined };
}

export class TopicTree<Value> {
  readonly #root: Node<Value> = newNode();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(topic: string): Value | undefined {
    let node: Node<Value> | undefined = this.#root;
    for (const level of topic.split("/")) {
      node = node.children?.get(level);
      if (node === undefined) return undefined;
    }
    return node.value;
  }

  set(topic: string, value: Value): void {
    const node = this.#nodeOf(topic);
    if (node.value === undefined) this.#size += 1;
    node.value = value;
  }

  /** The value of the topic, made if it has none. */
  getOrMake(topic: string, make: () => Value): Value {
    const node = this.#nodeOf(topic);
    if (node.value === undefined) this.#size += 1;
    return (node.value ??= make());
  }

  /** Removes the topic and the branches that only it needed. */
  delete(topic: string): boolean {
    const levels = topic.split("/");
    const path: Node<Value>[] = [this.#root];
    for (const level of levels) {
      const child = path[path.length - 1]?.children?.get(level);
      if (child === undefined) return false;
      path.push(child);
    }
    const leaf = path[path.length - 1];
    if (leaf?.value === undefined) return false;
    leaf.value = undefined;
    this.#size -= 1;
    prune(path, levels);
    return true;
  }

  forEach(visit: (value: Value) => void): void {
    visitAll(this.#root, false, (value) => {
      visit(value);
      return false;
    });
  }

  /** Calls `visit` with the value of every Topic Filter in the tree that matches the Topic Name. */
  matchFilters(topicName: string, visit: (value: Value) => void): void {
    const levels = topicName.split("/");
    const root = this.#root;
    // [MQTT-4.7.2-1] a leading wildcard does not match a Topic Name that begins with `$`.
    if (topicName.startsWith("$")) {
      const child = root.children?.get(levels[0] as string);
      if (child !== undefined) visitFilters(child, levels, 1, visit);
    } else {
      visitFilters(root, levels, 0, visit);
    }
  }

  /** Calls `visit` with the value of every Topic Name in the tree that the Topic Filter matches. */
  matchNames(topicFilter: string, visit: (value: Value) => void): void {
    visitNames(this.#root, topicFilter.split("/"), 0, (value) => {
      visit(value);
      return false;
    });
  }

  /** Whether the Topic Filter matches any Topic Name in the tree. */
  hasNames(topicFilter: string): boolean {
    return visitNames(this.#root, topicFilter.split("/"), 0, () => true);
  }

  #nodeOf(topic: string): Node<Value> {
    let node = this.#root;
    // Thousands of times on a wake-up: without an array of levels.
    for (let start = 0; start >= 0;) {
      const end = topic.indexOf("/", start);
      const level = end < 0 ? topic.slice(start) : topic.slice(start, end);
      start = end < 0 ? -1 : end + 1;
      const children = (node.children ??= new SmallMap<string, Node<Value>>());
      let child = children.get(level);
      if (child === undefined) children.set(level, (child = newNode()));
      node = child;
    }
    return node;
  }
}

function prune<Value>(path: Node<Value>[], levels: string[]): void {
  for (let depth = levels.length; depth > 0; depth -= 1) {
    const node = path[depth];
    if (node === undefined || node.value !== undefined || node.children !== undefined) return;
    const parent = path[depth - 1];
    parent?.children?.delete(levels[depth - 1] as string);
    if (parent?.children?.size === 0) parent.children = undefined;
  }
}

function visitFilters<Value>(
  node: Node<Value>,
  levels: string[],
  depth: number,
  visit: (value: Value) => void,
): void {
  // `#` also matches the parent level: `sport/#` matches `sport` (section 4.7.1.2).
  const rest = node.children?.get("#");
  if (rest?.value !== undefined) visit(rest.value);
  if (depth === levels.length) {
    if (node.value !== undefined) visit(node.value);
    return;
  }
  const exact = node.children?.get(levels[depth] as string);
  if (exact !== undefined) visitFilters(exact, levels, depth + 1, visit);
  const single = node.children?.get("+");
  if (single !== undefined) visitFilters(single, levels, depth + 1, visit);
}

/** Goes on until `visit` says that it is enough; true then. */
function visitNames<Value>(
  node: Node<Value>,
  levels: string[],
  depth: number,
  visit: (value: Value) => boolean,
): boolean {
  const level = levels[depth];
  if (level === undefined) return node.value !== undefined && visit(node.value);
  if (level === "#") return visitAll(node, depth === 0, visit);
  if (level !== "+") {
    const child = node.children?.get(level);
    return child !== undefined && visitNames(child, levels, depth + 1, visit);
  }
  for (const [name, child] of node.children ?? []) {
    const isHidden = depth === 0 && name.startsWith("$");
    if (!isHidden && visitNames(child, levels, depth + 1, visit)) return true;
  }
  return false;
}

function visitAll<Value>(node: Node<Value>, isRoot: boolean, visit: (value: Value) => boolean): boolean {
  if (node.value !== undefined && visit(node.value)) return true;
  for (const [name, child] of node.children ?? []) {
    // [MQTT-4.7.2-1] again: `#` alone leaves out `$…`.
    const isHidden = isRoot && name.startsWith("$");
    if (!isHidden && visitAll(child, false, visit)) return true;
  }
  return false;
}
