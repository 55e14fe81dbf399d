import type { QoS } from "../packet.ts";

/** What somebody may, or may not, do with the topics of a filter. */
export interface Rule {
  readonly effect: "allow" | "deny";
  readonly action: "publish" | "subscribe" | "all";
  /** A Topic Filter that may hold `${clientId}`, `${username}` and `${claim.NAME}`. */
  readonly topicFilter: string;
  /** The highest QoS that the rule speaks of; absent: any. */
  readonly qosMax?: QoS;
  /** False: the rule does not speak of a PUBLISH with RETAIN. */
  readonly retain?: boolean;
}
