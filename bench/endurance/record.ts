/** What was said and heard, and what is wrong with it. */

/** Messages of one publisher, to one topic, with one QoS: number 1 and so on. */
export interface Stream {
  readonly topicName: string;
  readonly qos: 1 | 2;
  /** So many were published, and all of them acknowledged if nothing is wrong. */
  publishedCount: number;
  acknowledgedCount: number;
}

/** A state that is published again and again, retained. */
export interface RetainedState {
  readonly topicName: string;
  publishedCount: number;
  acknowledgedCount: number;
}

export interface Listener {
  readonly name: string;
  /** Not more often than once comes what is published with QoS 2, too. */
  readonly maximumQos: 1 | 2;
  /** By Topic Name, in the order in which they came. */
  readonly received: ReadonlyMap<string, readonly number[]>;
}

export interface Run {
  readonly kills: number;
  readonly streams: readonly Stream[];
  readonly states: readonly RetainedState[];
  readonly listeners: readonly Listener[];
  /** What a newcomer found retained at the end, by Topic Name. */
  readonly retained: ReadonlyMap<string, number>;
}

export interface Summary {
  readonly kills: number;
  readonly published: number;
  readonly acknowledged: number;
  readonly delivered: number;
  /** A message that came again, as QoS 1 may. */
  readonly duplicatesQos1: number;
  readonly lost: number;
  readonly violations: readonly string[];
}

interface Hearing {
  readonly lost: number;
  readonly repeated: number;
  readonly isInOrder: boolean;
}

export function summarize({ kills, streams, states, listeners, retained }: Run): Summary {
  const violations: string[] = [];
  let delivered = 0;
  let duplicatesQos1 = 0;
  let lost = 0;
  for (const listener of listeners) {
    for (const stream of streams) {
      const received = listener.received.get(stream.topicName) ?? [];
      const hearing = hear(received, stream.publishedCount);
      delivered += received.length;
      lost += hearing.lost;
      const isOnce = stream.qos === 2 && listener.maximumQos === 2;
      if (!isOnce) duplicatesQos1 += hearing.repeated;
      const what = `${listener.name}, ${stream.topicName}`;
      if (hearing.lost > 0) violations.push(`${what}: ${hearing.lost} lost`);
      if (isOnce && hearing.repeated > 0) violations.push(`${what}: ${hearing.repeated} of QoS 2 came again`);
      if (!hearing.isInOrder) violations.push(`${what}: not in order`);
    }
  }
  const said = [...streams, ...states];
  for (const { topicName, publishedCount, acknowledgedCount } of said) {
    if (acknowledgedCount === publishedCount) continue;
    violations.push(`${topicName}: ${publishedCount - acknowledgedCount} not acknowledged`);
  }
  for (const { topicName, publishedCount } of states) {
    const found = retained.get(topicName);
    if (found !== publishedCount)
      violations.push(`${topicName}: ${found} is retained, not ${publishedCount}`);
  }
  const published = sum(said.map(({ publishedCount }) => publishedCount));
  const acknowledged = sum(said.map(({ acknowledgedCount }) => acknowledgedCount));
  return { kills, published, acknowledged, delivered, duplicatesQos1, lost, violations };
}

/** Of numbers 1 to `count`. What came again counts where it came first. */
function hear(received: readonly number[], count: number): Hearing {
  const firsts = [...new Set(received)];
  return {
    lost: count - firsts.length,
    repeated: received.length - firsts.length,
    isInOrder: firsts.every((number, index) => index === 0 || number > (firsts[index - 1] as number)),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
