import { expect, test } from "vitest";
import { isSharedTopicFilter, isValidTopicFilter, isValidTopicName } from "../../src/codec/index.ts";

test.each(["a", "/", "a/b", "/a", "a/", "$SYS/x", "a b", "$share/g/a"])("%j is a Topic Name", (topicName) => {
  expect(isValidTopicName(topicName)).toBe(true);
});

test.each(["", "+", "#", "a/+/b", "a#"])("[MQTT-3.3.2-2] %j is no Topic Name", (topicName) => {
  expect(isValidTopicName(topicName)).toBe(false);
});

test.each([
  "a",
  "/",
  "#",
  "+",
  "+/+",
  "/+",
  "a/#",
  "+/a/#",
  "$share",
  "$share/g/a",
  "$share/g//",
  "$share/g/#",
])("%j is a Topic Filter", (topicFilter) => {
  expect(isValidTopicFilter(topicFilter)).toBe(true);
});

test.each(["a#", "#/a", "a/#/b", "##", "a/b#"])("[MQTT-4.7.1-1] %j is no Topic Filter", (topicFilter) => {
  expect(isValidTopicFilter(topicFilter)).toBe(false);
});

test.each(["a+", "+a/b", "a/++", "a/+#"])("[MQTT-4.7.1-2] %j is no Topic Filter", (topicFilter) => {
  expect(isValidTopicFilter(topicFilter)).toBe(false);
});

test("[MQTT-4.7.3-1] an empty Topic Filter is none", () => {
  expect(isValidTopicFilter("")).toBe(false);
});

test.each(["$share/", "$share//a", "$share/g", "$share/g/", "$share/a+/b", "$share/#/b", "$share/g/a#"])(
  "[MQTT-4.8.2-2] %j is no shared subscription",
  (topicFilter) => {
    expect(isSharedTopicFilter(topicFilter)).toBe(true);
    expect(isValidTopicFilter(topicFilter)).toBe(false);
  },
);
