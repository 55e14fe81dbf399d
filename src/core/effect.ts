/** What the core asks its host to do. The host carries effects out in order, after the event that caused them. */
import type { DailyCount } from "./abuse/daily-count.ts";
import type { Identity } from "./access/identity.ts";
import type { AuthenticationRequest } from "./authentication.ts";
import type { BackupAnswer } from "./backup/record.ts";
import type { Delivery, ProtocolVersion, ServerPacket } from "./packet.ts";
import type { Batch, BatchAnswer } from "./peers/message.ts";
import type { DeliveryState, SubscriptionRecord, WriteSet } from "./storage-port.ts";

export type Effect =
  | {
      readonly type: "send";
      readonly connectionId: string;
      readonly protocolVersion: ProtocolVersion;
      readonly packet: ServerPacket;
    }
  | {
      readonly type: "deliver";
      readonly connectionId: string;
      readonly protocolVersion: ProtocolVersion;
      readonly delivery: Delivery;
    }
  | {
      readonly type: "close";
      readonly connectionId: string;
      readonly code: CloseCode;
      readonly reason: string;
    }
  /** Keep this with the socket through hibernation. */
  | { readonly type: "attach"; readonly connectionId: string; readonly attachment: ConnectionAttachment }
  /** Write, then run what may only be seen once the write is safe. A failed write is a reset of the shard. */
  | { readonly type: "commit"; readonly writes: WriteSet; readonly effects: readonly Effect[] }
  /** Verify this; the answer comes back as an input with the same number. */
  | {
      readonly type: "authenticate";
      readonly connectionId: string;
      readonly attempt: number;
      readonly request: AuthenticationRequest;
    }
  /** Send the batch to the shard `batch.to`; its answer, or the failure, comes back as an input. */
  | { readonly type: "call"; readonly batch: Batch }
  /** Answer the call of another shard. */
  | { readonly type: "answer"; readonly callId: number; readonly answer: BatchAnswer }
  /** Answer a call about a backup. */
  | { readonly type: "backup"; readonly callId: number; readonly answer: BackupAnswer }
  /** `unconfirmed`: nothing is lost when a reset forgets this one (the next start arms it anew). */
  | { readonly type: "setAlarm"; readonly dueAtMs: number; readonly unconfirmed: boolean };

/** WebSocket close codes that the broker sends (RFC 6455, section 7.4.1). */
export type CloseCode = 1000 | 1001 | 1002 | 1003 | 1008 | 1009 | 1011;

/** What a socket's attachment carries, so that its connection goes on after the shard has slept. */
export interface ConnectionAttachment {
  /** The life of the object that accepted the socket. */
  readonly boot: number;
  readonly openedAtMs: number;
  /** Becomes the Client Identifier of a client that leaves the choice to the server. */
  readonly randomClientId: string;
  readonly clientIdHint?: string;
  readonly address?: string;
  /** Absent for an anonymous client, and before CONNECT for one whose upgrade request had no credential. */
  readonly identity?: Identity;
  /** Absent until CONNECT. */
  readonly client?: AttachedClient;
}

export interface AttachedClient {
  readonly protocolVersion: ProtocolVersion;
  readonly clientId: string;
  readonly incarnation: number;
  readonly keepAliveSec: number;
  /** At most {@link Times.lastSeenStepMs} older than the truth. */
  readonly lastSeenAtMs: number;
  readonly receiveMaximum: number;
  readonly maximumPacketSizeBytes?: number;
  readonly problemInformation: boolean;
  readonly topicAliasMaximum: number;
  readonly authenticationMethod?: string;
  /** What the client has published on the day of its last message, if that is limited. */
  readonly messagesToday?: DailyCount;
  readonly topicAliases: readonly (readonly [topicAlias: number, topicName: string])[];
  readonly sessionNumber: number;
  readonly deliveryState: DeliveryState;
  /** Deliveries of this session lie in the message log. */
  readonly logged: boolean;
  /** The session's subscriptions, when no row holds them. */
  readonly subscriptions?: readonly SubscriptionRecord[];
}

/** The sockets that survived a hibernation, as the core sees them. */
export interface SurvivingConnections {
  list(): Iterable<readonly [connectionId: string, attachment: ConnectionAttachment]>;
  read(connectionId: string): ConnectionAttachment | undefined;
}
