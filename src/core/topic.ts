/** Topic Names and Topic Filters: levels, matching and the Shared Subscription form (section 4.7 and 4.8). */

export function hasWildcard(topicFilter: string): boolean {
  return topicFilter.includes("+") || topicFilter.includes("#");
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
