/**
 * Topic Filters as sets of Topic Names (section 4.7): whether one lies within another, whether two have a name in
 * common. Both are exact, because level names are without end and so no filter is the union of others.
 */

/** The levels of a Topic Filter, so written that `#` stands for nothing that is no Topic Name. */
export type FilterLevels = readonly string[];

/** The Topic Filter must be well formed; one of a Shared Subscription comes without its `$share/NAME/`. */
export function filterLevelsOf(topicFilter: string): FilterLevels {
  // No Topic Name is empty ([MQTT-4.7.3-1]): `#` matches what `+/#` does, and `/#` what `/+/#` does.
  if (topicFilter === "#") return ["+", "#"];
  if (topicFilter === "/#") return ["", "+", "#"];
  return topicFilter.split("/");
}

/** Whether the filter matches the Topic Name. */
export function matches(filter: FilterLevels, topicName: string): boolean {
  // [MQTT-4.7.2-1].
  if (filter[0] === "+" && topicName.startsWith("$")) return false;
  let start = 0;
  for (const level of filter) {
    if (level === "#") return true;
    if (start > topicName.length) return false;
    const slash = topicName.indexOf("/", start);
    const end = slash < 0 ? topicName.length : slash;
    const isSame = end - start === level.length && topicName.startsWith(level, start);
    if (level !== "+" && !isSame) return false;
    start = end + 1;
  }
  return start > topicName.length;
}

/** Whether every Topic Name that `requested` matches is matched by `permitted`. */
export function covers(permitted: FilterLevels, requested: FilterLevels): boolean {
  for (const [depth, level] of permitted.entries()) {
    if (level === "#") return true;
    const other = requested[depth];
    if (other === undefined || other === "#") return false;
    if (level === "+" ? isHidden(other, depth) : level !== other) return false;
  }
  return permitted.length === requested.length;
}

/** Whether some Topic Name is matched by both. */
export function overlaps(left: FilterLevels, right: FilterLevels): boolean {
  const depthMax = Math.max(left.length, right.length);
  for (let depth = 0; depth < depthMax; depth += 1) {
    const [one, other] = [left[depth], right[depth]];
    if (one === "#" || other === "#") return true;
    if (one === undefined || other === undefined) return false;
    const isMet =
      one === "+" ? !isHidden(other, depth) : other === "+" ? !isHidden(one, depth) : one === other;
    if (!isMet) return false;
  }
  return true;
}

/** [MQTT-4.7.2-1] From a wildcard in the first level. */
function isHidden(level: string, depth: number): boolean {
  return depth === 0 && level.startsWith("$");
}
