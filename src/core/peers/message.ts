/**
 * What the shards of a namespace say to each other. Between two shards run two lanes each way, which order what they
 * carry: `publish` goes from session shards to owners of topics, `deliver` from owners to session shards. What comes
 * by `deliver` is answered at once, so waiting for answers makes no circle.
 */
import type { ServerFigures } from "../topics/server-topics.ts";
import type { Layout } from "../placement.ts";
import type { Publication } from "../publication.ts";
import type { ReasonCode } from "../reason-code.ts";

export type LaneName = "publish" | "deliver";

/** The number of a message that must not be applied twice, and the shard that gave it. */
export interface Origin {
  readonly shard: number;
  /** Grows from message to message, through resets too. */
  readonly sequence: number;
  /** The message was numbered without being written: its publisher would not come back to it. */
  readonly isVolatile?: true;
}

/** Which of two changes to a route is the newer one. */
export interface RouteVersion {
  /** Of the session shard. */
  readonly boot: number;
  /** Grows within a boot. */
  readonly serial: number;
}

/** The members that a shard has of a Shared Subscription. */
export interface Members {
  readonly online: number;
  readonly total: number;
}

/** From a session shard to the owner of a topic. */
export type PublishItem =
  | {
      readonly type: "publish";
      readonly publication: Publication;
      readonly publisherClientId: string;
      readonly origin?: Origin;
    }
  /** The member that had the message is gone, and its shard has no other. */
  | {
      readonly type: "handOver";
      readonly publication: Publication;
      readonly sharedFilter: string;
      readonly origin?: Origin;
    }
  /** Subscribed here: `filter` is a Topic Filter, or `$share/{ShareName}/{filter}`. */
  | {
      readonly type: "addRoute";
      readonly filter: string;
      readonly version: RouteVersion;
      readonly members?: Members;
    }
  | { readonly type: "removeRoute"; readonly filter: string; readonly version: RouteVersion }
  | { readonly type: "updateMembers"; readonly filter: string; readonly members: Members }
  /** A page of retained messages that match, those after a Topic Name in the owner's order. */
  | { readonly type: "replay"; readonly replayId: number; readonly filter: string; readonly after?: string }
  | { readonly type: "figures" };

/** From the owner of a topic to a shard that has subscribers. */
export type DeliverItem =
  | {
      readonly type: "deliver";
      readonly publication: Publication;
      readonly publisherClientId: string;
      readonly origin?: Origin;
    }
  /** For one member of the Shared Subscription: one that is online or, if `queues`, any. */
  | {
      readonly type: "deliverShared";
      readonly publication: Publication;
      readonly sharedFilter: string;
      readonly queues: boolean;
      /** Shards where nobody was online, or had room. */
      readonly tried: readonly number[];
      readonly origin?: Origin;
    }
  /** The answer to `replay`; without `after` it is the last page. */
  | {
      readonly type: "retained";
      readonly replayId: number;
      readonly publications: readonly Publication[];
      /** As `replay` said it. */
      readonly since?: string;
      readonly after?: string;
    };

export type PeerItem = PublishItem | DeliverItem;

/** What came of an item. */
export interface Outcome {
  readonly reasonCode: ReasonCode;
  readonly reasonString?: string;
  /** Nobody here is subscribed, as of that version: routes that are not newer are void. */
  readonly staleThrough?: RouteVersion;
  readonly members?: Members;
  /** The owner has no retained message that matches: no page follows. */
  readonly retainsNothing?: true;
  readonly figures?: ServerFigures;
  /** A queue is full, and its policy is that the publisher gets to know. */
  readonly isForPublisher?: true;
}

/** Items of a lane that are applied together or not at all. */
export interface Batch {
  readonly lane: LaneName;
  readonly from: number;
  readonly to: number;
  readonly layout: Layout;
  /** One life of the sending lane; a later one has a higher number. */
  readonly stream: number;
  /** Counts the batches of a stream from 1; one that is sent again keeps its number. */
  readonly sequence: number;
  readonly items: readonly PeerItem[];
}

/** Why a batch was not applied: it changed nothing. */
export type BatchRefusal = "layout" | "address" | "size" | "format" | "stream" | "sequence";

export type BatchAnswer =
  | { readonly type: "applied"; readonly outcomes: readonly Outcome[] }
  | {
      readonly type: "refused";
      readonly refusal: BatchRefusal;
      /** The stream that the receiver knows. */
      readonly stream?: number;
      /** The newest format that the receiver reads. */
      readonly format?: number;
    };

/** The part of an item that is kept in the outbox beside the message. */
export type Letter =
  | { readonly type: "publish"; readonly publisherClientId: string; readonly origin?: Origin }
  | { readonly type: "handOver"; readonly sharedFilter: string; readonly origin?: Origin }
  | { readonly type: "removeRoute"; readonly version: RouteVersion }
  | { readonly type: "deliver"; readonly publisherClientId: string; readonly origin?: Origin }
  | {
      readonly type: "deliverShared";
      readonly sharedFilter: string;
      readonly queues: boolean;
      readonly tried: readonly number[];
      readonly origin?: Origin;
    };

/** Items that can be kept in an outbox. */
export type DurableItem = Extract<PeerItem, { readonly type: Letter["type"] }>;

export function isNewer(left: RouteVersion, right: RouteVersion): boolean {
  return left.boot > right.boot || (left.boot === right.boot && left.serial > right.serial);
}
