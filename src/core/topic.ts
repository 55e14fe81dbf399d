/** Topic Names and Topic Filters: levels, matching and the Shared Subscription form (section 4.7 and 4.8). */

export function levelsOf(topic: string): string[] {
  return topic.split("/");
}

export function hasWildcard(topicFilter: string): boolean {
  return topicFilter.includes("+") || topicFilter.includes("#");
}

/** Server topics such as `$SYS/…`: no wildcard at the first level reaches them ([MQTT-4.7.2-1]). */
export function isServerTopic(topicName: string): boolean {
  return topicName.startsWith("$");
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
