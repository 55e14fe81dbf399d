import { SmallMap } from "../small-map.ts";

/** An alias takes three bytes of properties, so a shorter Topic Name gains nothing. */
const topicNameLengthMin = 4;

export interface AliasUse {
  readonly topicAlias: number;
  /** The client knows the alias: the Topic Name stays empty. */
  readonly omitTopicName: boolean;
}

/**
 * Topic Aliases from the server to one client (section 3.3.2.3.4). The topics used last have one. A cache: after a
 * hibernation it is empty, and aliases are set anew.
 */
export class OutboundTopicAliases {
  readonly #maximum: number;
  /** In the order of use, the latest last. */
  readonly #byTopicName = new SmallMap<string, number>();

  /** `maximum`: the client's Topic Alias Maximum; 0 for none ([MQTT-3.1.2-27]). */
  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** How the next PUBLISH to that topic may use an alias; to be followed by {@link note} if it is sent. */
  choose(topicName: string): AliasUse | undefined {
    if (this.#maximum === 0 || topicName.length < topicNameLengthMin) return undefined;
    const known = this.#byTopicName.get(topicName);
    if (known !== undefined) return { topicAlias: known, omitTopicName: true };
    if (this.#byTopicName.size < this.#maximum) {
      return { topicAlias: this.#byTopicName.size + 1, omitTopicName: false };
    }
    const [oldest] = this.#byTopicName.values();
    return oldest === undefined ? undefined : { topicAlias: oldest, omitTopicName: false };
  }

  note(topicName: string, { topicAlias, omitTopicName }: AliasUse): void {
    if (!omitTopicName && this.#byTopicName.size === this.#maximum) {
      const [oldest] = this.#byTopicName.keys();
      if (oldest !== undefined) this.#byTopicName.delete(oldest);
    }
    this.#byTopicName.delete(topicName);
    this.#byTopicName.set(topicName, topicAlias);
  }
}
