import { hasWildcard } from "../topic.ts";
import { TopicTree } from "./topic-tree.ts";

/**
 * Values by Topic Filter, found by Topic Name. A filter without a wildcard before its last level, as nearly all are, is
 * found by its own text: a Topic Name has few such filters that match it, and a wake-up, which makes thousands, has
 * less to make than the branches of a tree.
 */
export class TopicFilters<Value> {
  readonly #plain = new Map<string, Value>();
  readonly #tree = new TopicTree<Value>();
  /** No plain filter that ends with `#` has been longer: nobody looks for longer ones. */
  #multiLevelLengthMax = 0;

  get(topicFilter: string): Value | undefined {
    return this.#placeOf(topicFilter).get(topicFilter);
  }

  /** The value of the filter, made if it has none. */
  getOrMake(topicFilter: string, make: () => Value): Value {
    if (!isPlain(topicFilter)) return this.#tree.getOrMake(topicFilter, make);
    let value = this.#plain.get(topicFilter);
    if (value === undefined) this.#plain.set(topicFilter, (value = make()));
    if (topicFilter.endsWith("#")) {
      this.#multiLevelLengthMax = Math.max(this.#multiLevelLengthMax, topicFilter.length);
    }
    return value;
  }

  delete(topicFilter: string): void {
    this.#placeOf(topicFilter).delete(topicFilter);
  }

  /** Calls `visit` with the value of every Topic Filter that matches the Topic Name. */
  match(topicName: string, visit: (value: Value) => void): void {
    const visitPlain = (topicFilter: string): void => {
      const value = this.#plain.get(topicFilter);
      if (value !== undefined) visit(value);
    };
    visitPlain(topicName);
    const lastLevel = topicName.lastIndexOf("/") + 1;
    // [MQTT-4.7.2-1] a leading wildcard does not match a Topic Name that begins with `$`.
    const isHidden = topicName.startsWith("$");
    if (lastLevel > 0 || !isHidden) visitPlain(`${topicName.slice(0, lastLevel)}+`);
    if (!isHidden) visitPlain("#");
    // `#` also matches the parent level: `sport/#` matches `sport` (section 4.7.1.2).
    for (let end = topicName.indexOf("/"); end + 1 < this.#multiLevelLengthMax;) {
      visitPlain(end < 0 ? `${topicName}/#` : `${topicName.slice(0, end)}/#`);
      if (end < 0) break;
      end = topicName.indexOf("/", end + 1);
    }
    if (this.#tree.size > 0) this.#tree.matchFilters(topicName, visit);
  }

  #placeOf(topicFilter: string): Map<string, Value> | TopicTree<Value> {
    return isPlain(topicFilter) ? this.#plain : this.#tree;
  }
}

/** The last level may be a wildcard, no other is one. */
function isPlain(topicFilter: string): boolean {
  return !hasWildcard(topicFilter.slice(0, -1));
}
