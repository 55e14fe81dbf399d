/** Topic Names and Topic Filters: levels, matching and the Shared Subscription form (section 4.7 and 4.8). */

export function hasWildcard(topicFilter: string): boolean {
  return topicFilter.includes("+") || topicFilter.includes("#");
}

/** True for a Topic Filter, without the Shared Subscription form, that can match something (section 4.7). */
export function isFilterWellFormed(topicFilter: string): boolean {
  // [MQTT-4.7.3-1] at least one character.
  if (topicFilter === "") return false;
  if (!hasWildcard(topicFilter)) return true;
  const levels = topicFilter.split("/");
  return levels.every((level, index) => isValidLevel(level, index === levels.length - 1));
}

function isValidLevel(level: string, isLast: boolean): boolean {
  // [MQTT-4.7.1-1] "#" is alone in the last level.
  if (level === "#") return isLast;
  // [MQTT-4.7.1-2] "+" is alone in its level.
  return level === "+" || !hasWildcard(level);
}

export function levelCountOf(topic: string): number {
  let count = 1;
  for (let index = topic.indexOf("/"); index >= 0; index = topic.indexOf("/", index + 1)) count += 1;
  return count;
}

export interface SharedFilter {
  readonly shareName: string;
  readonly topicFilter: string;
}

/** The parts of `$share/{ShareName}/{filter}` ([MQTT-4.8.2-1]); undefined for any other Topic Filter. */
export function parseSharedFilter(topicFilter: string): SharedFilter | undefined {
  if (!topicFilter.startsWith("$share/")) return undefined;
  const end = topicFilter.indexOf("/", "$share/".length);
  if (end < 0) return undefined;
  return { shareName: topicFilter.slice("$share/".length, end), topicFilter: topicFilter.slice(end + 1) };
}
