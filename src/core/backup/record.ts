/** What a backup consists of, and how it is asked for and answered. */
import type { Owner } from "../access/identity.ts";
import type { ApplicationMessage, WillMessage } from "../packet.ts";
import type { Publication } from "../publication.ts";
import type { DeliveryState, LogTarget, SubscriptionRecord } from "../storage-port.ts";

export interface RetainedBackup {
  readonly type: "retained";
  readonly publication: Publication;
}

/** A QoS 1 or 2 message that a session has not acknowledged. Those of a session come in order, and before it. */
export interface MessageBackup extends Omit<LogTarget, "sessionNumber" | "letter"> {
  readonly type: "message";
  readonly clientId: string;
  readonly publication: Publication;
  /** The client may have got it already. */
  readonly isSent: boolean;
}

/** The Session State of a session that outlives its connection, as of the moment at which this is written. */
export interface SessionBackup {
  readonly type: "session";
  readonly clientId: string;
  readonly sessionExpiryIntervalSec: number;
  /** Absent while its client is connected. */
  readonly detachedAtMs?: number;
  readonly will?: WillMessage;
  readonly willDueAtMs?: number;
  readonly subscriptions: readonly SubscriptionRecord[];
  readonly deliveryState: DeliveryState;
  /** Who connected last; absent when that is not known. */
  readonly owner?: Owner;
}

export type BackupRecord = RetainedBackup | MessageBackup | SessionBackup;

/** Where the next page of a shard begins. */
export type BackupCursor =
  | { readonly type: "retained"; readonly after?: string | undefined }
  | { readonly type: "session"; readonly after?: string | undefined }
  | {
      readonly type: "messages";
      readonly clientId: string;
      readonly sessionNumber: number;
      readonly after: number;
      /** The last message that the session had when its turn came. */
      readonly through: number;
      readonly fromSeq: number;
    };

export interface BackupPage {
  readonly type: "page";
  readonly records: readonly BackupRecord[];
  /** Absent with the last page of the shard. */
  readonly next?: BackupCursor;
}

export interface ImportRequest {
  /** Names the backup: what has come from it before is not refused when it comes again. */
  readonly backupId: string;
  /** Whether what exists already gives way. */
  readonly replaces: boolean;
  readonly records: readonly BackupRecord[];
}

/** What became of a record. */
export type ImportOutcome =
  | { readonly type: "imported"; readonly messageCount: number }
  /** It is there already, from this backup or the same. */
  | { readonly type: "unchanged" }
  | { readonly type: "expired" }
  /** A message: what becomes of it is told with its session. */
  | { readonly type: "taken" }
  | { readonly type: "refused"; readonly reason: string };

/** The shard cannot serve anybody. */
export interface BackupUnavailable {
  readonly type: "unavailable";
  readonly reason: string;
}

export type BackupAnswer =
  | BackupPage
  | { readonly type: "outcomes"; readonly outcomes: readonly ImportOutcome[] }
  | BackupUnavailable;

export function refused(reason: string): ImportOutcome {
  return { type: "refused", reason };
}

/** Whether both say the same, until the same time. */
export function isSamePublication(left: Publication, right: Publication): boolean {
  return left.expiresAtMs === right.expiresAtMs && isSameMessage(left.message, right.message);
}

function isSameMessage(left: ApplicationMessage, right: ApplicationMessage): boolean {
  return (
    left.topicName === right.topicName &&
    left.qos === right.qos &&
    left.retain === right.retain &&
    left.payloadFormatIndicator === right.payloadFormatIndicator &&
    left.contentType === right.contentType &&
    left.responseTopic === right.responseTopic &&
    left.messageExpiryIntervalSec === right.messageExpiryIntervalSec &&
    isSameBytes(left.payload, right.payload) &&
    isSameBytes(left.correlationData, right.correlationData) &&
    JSON.stringify(left.userProperties) === JSON.stringify(right.userProperties)
  );
}

function isSameBytes(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index += 1) if (left[index] !== right[index]) return false;
  return true;
}
