import { hasWildcard } from "../topic.ts";
import { TopicTree } from "./topic-tree.ts";

/**
 * Values by Topic Filter, found by Topic Name. Most filters have no wildcard: they are found, and made on a wake-up,
 * with one look at a Map, and only the others make a tree.
 */
export class TopicFilters<Value> {
  readonly #exact = new Map<string, Value>();
  readonly #wildcards = new TopicTree<Value>();

  get(topicFilter: string): Value | undefined {
    return this.#placeOf(topicFilter).get(topicFilter);
  }

  /** The value of the filter, made if it has none. */
  getOrMake(topicFilter: string, make: () => Value): Value {
    if (hasWildcard(topicFilter)) return this.#wildcards.getOrMake(topicFilter, make);
    let value = this.#exact.get(topicFilter);
    if (value === undefined) this.#exact.set(topicFilter, (value = make()));
    return value;
  }

  delete(topicFilter: string): void {
    this.#placeOf(topicFilter).delete(topicFilter);
  }

  /** Calls `visit` with the value of every Topic Filter that matches the Topic Name. */
  match(topicName: string, visit: (value: Value) => void): void {
    const exact = this.#exact.get(topicName);
    if (exact !== undefined) visit(exact);
    this.#wildcards.matchFilters(topicName, visit);
  }

  #placeOf(topicFilter: string): Map<string, Value> | TopicTree<Value> {
    return hasWildcard(topicFilter) ? this.#wildcards : this.#exact;
  }
}
