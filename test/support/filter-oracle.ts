/** Whether a Topic Filter matches a Topic Name, by the words of section 4.7: a regular expression for each filter. */
const expressions = new Map<string, RegExp>();

export function filterMatches(topicFilter: string, topicName: string): boolean {
  let expression = expressions.get(topicFilter);
  if (expression === undefined) expressions.set(topicFilter, (expression = expressionOf(topicFilter)));
  return expression.test(topicName);
}

function expressionOf(topicFilter: string): RegExp {
  const isOpen = topicFilter === "#" || topicFilter.endsWith("/#");
  const fixed = topicFilter === "#" ? [] : (isOpen ? topicFilter.slice(0, -2) : topicFilter).split("/");
  const body = fixed.map((level) => (level === "+" ? "[^/]*" : level.replaceAll(/[^\w]/g, "\\$&"))).join("/");
  // The parent level counts ([section 4.7.1.2]); nothing is named by no characters ([MQTT-4.7.3-1]).
  const rest = topicFilter === "#" ? "[^]*" : isOpen ? "(?:/[^]*)?" : "";
  // [MQTT-4.7.2-1].
  const hidden = /^[+#]/.test(topicFilter) ? "(?!\\$)" : "";
  return new RegExp(`^(?!$)${hidden}${body}${rest}$`);
}
