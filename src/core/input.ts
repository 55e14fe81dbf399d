/** What happens to a shard. Every input is handled in one synchronous turn. */
import type { Identity, Usernames } from "./access/identity.ts";
import type { Policy } from "./access/policy.ts";
import type { Order } from "./administration/administration.ts";
import type { AuthenticationStep } from "./authentication.ts";
import type { ClientPacket, ProtocolVersion } from "./packet.ts";
import type { ReasonCode } from "./reason-code.ts";
import type { CloseCode } from "./effect.ts";
import type { BackupCursor, ImportRequest } from "./backup/record.ts";
import type { Batch, BatchAnswer } from "./peers/message.ts";

/** Bytes that are not a packet the server may accept. */
export interface Fault {
  readonly reasonCode: ReasonCode;
  readonly reasonString: string;
  /** Set when a CONNECT was read far enough to know it. */
  readonly protocolVersion?: ProtocolVersion;
  readonly closeCode?: CloseCode;
}

export type Input =
  /**
   * The object was constructed. `survivingBoot`: what the attachment of a socket says that is still there. `seed`: a
   * random whole number.
   */
  | {
      readonly type: "start";
      readonly armedAlarmAtMs?: number;
      readonly survivingBoot?: number;
      readonly seed?: number;
    }
  /** A WebSocket was accepted. */
  | {
      readonly type: "open";
      readonly connectionId: string;
      readonly randomClientId: string;
      readonly clientIdHint?: string;
      /** The client's network address, as the platform tells it. */
      readonly address?: string;
      /** Of a credential in the upgrade request, verified. */
      readonly identity?: Identity;
    }
  /** The host's answer to "authenticate". */
  | {
      readonly type: "authenticated";
      readonly connectionId: string;
      readonly attempt: number;
      readonly step: AuthenticationStep;
    }
  /** The policy of the namespace, after a change. */
  | { readonly type: "policy"; readonly policy: Policy }
  /** A WebSocket message, decoded: whole packets, then perhaps a fault. */
  | {
      readonly type: "receive";
      readonly connectionId: string;
      readonly packets: readonly ClientPacket[];
      readonly fault?: Fault;
      /** Of the message. */
      readonly sizeBytes: number;
      /** What is kept of a packet that the message ended inside of, whose other bytes are awaited; 0: it did not. */
      readonly unfinishedBytes: number;
    }
  /** The WebSocket is gone. `isLost`: by a defect, so that what is known of the connection may be out of date. */
  | { readonly type: "closed"; readonly connectionId: string; readonly isLost?: true }
  /** The client has not taken anything that was sent for too long, or too much is waiting for it. */
  | { readonly type: "stalled"; readonly connectionId: string }
  /** Another shard calls; `callId` names the call in the answer. `skip`: items at which handling it has failed. */
  | {
      readonly type: "called";
      readonly callId: number;
      readonly batch: Batch;
      readonly skip?: ReadonlySet<number>;
    }
  /** What became of a batch that was sent to the shard `to`; without an answer the call failed. */
  | {
      readonly type: "answered";
      readonly to: number;
      readonly head: Pick<Batch, "lane" | "stream" | "sequence">;
      readonly answer?: BatchAnswer;
    }
  /** Somebody asks about the whole shard: what a sleep has made it forget is read. */
  | { readonly type: "load" }
  /** Write and send what may be joined no longer. */
  | { readonly type: "settle" }
  /** `timerDueAtMs` has come. */
  | { readonly type: "timer" }
  /** The storage alarm fired. */
  | { readonly type: "alarm" }
  /** What is known of users has changed: who is connected as one of them has to authenticate anew. */
  | { readonly type: "revoke"; readonly usernames: Usernames }
  /** A page for a backup is wanted, from the cursor on; `callId` names the call in the answer. */
  | { readonly type: "export"; readonly callId: number; readonly cursor?: BackupCursor }
  /** Records of a backup have come. */
  | { readonly type: "import"; readonly callId: number; readonly request: ImportRequest }
  /** An operator has something done. */
  | { readonly type: "administer"; readonly order: Order }
  /** The host shuts down: say so to the clients, keep their sessions, publish no Will. */
  | { readonly type: "drain" };

/** Inputs from outside, other than the alarm itself. */
export const wakes: readonly Input["type"][] = [
  "open",
  "receive",
  "closed",
  "called",
  "policy",
  "export",
  "import",
  "administer",
];

/** Inputs whose output may be joined with that of others: the host says when it is enough, by "settle". */
export const joins: readonly Input["type"][] = ["settle", "receive", "authenticated", "called", "answered"];
