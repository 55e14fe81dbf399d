import type { Publication } from "../publication.ts";
import type { ServerTopics } from "./server-topics.ts";
import type { Retained } from "./retained.ts";

/** What the owner of a topic asks of the sessions that it has routes to. */
export interface Subscribers {
  /** Hands the message to every session with a matching subscription; returns how many that are. */
  deliver(publication: Publication, publisherClientId: string, nowMs: number): number;
}

export interface PublishOutcome {
  /** Sessions with a matching subscription. */
  readonly matchedCount: number;
}

/** What sessions ask of the owners of topics. One shard owns all its topics itself; with more, a peer may stand here. */
export interface TopicOwners {
  publish(publication: Publication, publisherClientId: string, nowMs: number): PublishOutcome;
  /** Whether a message to be retained would be kept. */
  acceptsRetained(publication: Publication, nowMs: number): boolean;
  /** Topic Names with a retained message that match. */
  retainedNames(topicFilter: string, nowMs: number): string[];
  retained(topicName: string, nowMs: number): Publication | undefined;
}

/** The topic role of a shard, for the sessions of the same shard: no route is stored and no message leaves. */
export class LocalTopicOwner implements TopicOwners {
  readonly #retained: Retained;
  readonly #serverTopics: ServerTopics;
  readonly #subscribers: Subscribers;

  constructor(retained: Retained, serverTopics: ServerTopics, subscribers: Subscribers) {
    this.#retained = retained;
    this.#serverTopics = serverTopics;
    this.#subscribers = subscribers;
  }

  publish(publication: Publication, publisherClientId: string, nowMs: number): PublishOutcome {
    if (publication.message.retain) this.#retained.store(publication, nowMs);
    return { matchedCount: this.#subscribers.deliver(publication, publisherClientId, nowMs) };
  }

  acceptsRetained(publication: Publication, nowMs: number): boolean {
    return this.#retained.accepts(publication.message, nowMs);
  }

  retainedNames(topicFilter: string, nowMs: number): string[] {
    const topicNames = this.#retained.matchingNames(topicFilter);
    return topicNames.concat(this.#serverTopics.matchingNames(topicFilter, nowMs));
  }

  retained(topicName: string, nowMs: number): Publication | undefined {
    return this.#serverTopics.read(topicName, nowMs) ?? this.#retained.read(topicName, nowMs);
  }
}
