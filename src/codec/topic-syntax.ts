/** Syntax of Topic Names and Topic Filters, section 4.7, apart from how many levels a broker allows. */
import { hasWildcard, isFilterWellFormed } from "../core/topic.ts";

const SHARED_PREFIX = "$share/";

/** True for a Topic Name that a message can be published to. */
export function isValidTopicName(topicName: string): boolean {
  // [MQTT-4.7.3-1] at least one character; [MQTT-3.3.2-2] no wildcards.
  return topicName !== "" && !hasWildcard(topicName);
}

/** True for a Topic Filter that can be subscribed to, shared subscriptions included. */
export function isValidTopicFilter(topicFilter: string): boolean {
  if (!isSharedTopicFilter(topicFilter)) return isFilterWellFormed(topicFilter);
  const nameEnd = topicFilter.indexOf("/", SHARED_PREFIX.length);
  // [MQTT-4.8.2-2] the ShareName is followed by "/" and a Topic Filter.
  if (nameEnd === -1) return false;
  const shareName = topicFilter.slice(SHARED_PREFIX.length, nameEnd);
  // [MQTT-4.8.2-1] the ShareName has at least one character, and none of "/", "+" and "#".
  return shareName !== "" && !hasWildcard(shareName) && isFilterWellFormed(topicFilter.slice(nameEnd + 1));
}

/** True for a filter that asks for a shared subscription, well-formed or not. */
export function isSharedTopicFilter(topicFilter: string): boolean {
  return topicFilter.startsWith(SHARED_PREFIX);
}
