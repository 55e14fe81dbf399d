import type { DailyCount } from "../abuse/daily-count.ts";
import type { Inflow } from "../abuse/inflow.ts";
import type { Identity } from "../access/identity.ts";
import { anonymousIdentity, identitySizeBytes } from "../access/identity.ts";
import type { AttachedClient, ConnectionAttachment } from "../effect.ts";
import type { ProtocolVersion } from "../packet.ts";
import { Times } from "../limits.ts";
import { AckQueue } from "./ack-queue.ts";
import type { Authentication } from "./authenticating.ts";
import { OutboundTopicAliases } from "./outbound-topic-aliases.ts";
import type { ParkedInput } from "./parked-input.ts";
import type { Refusal } from "../refusal.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Session } from "../session/session.ts";
import { SmallMap } from "../small-map.ts";

/** What CONNECT settled for the rest of the Network Connection. */
export interface ClientSettings {
  readonly clientId: string;
  readonly keepAliveSec: number;
  /** QoS 1 and 2 messages the client takes unacknowledged. */
  readonly receiveMaximum: number;
  /** The client wants Reason Strings and User Properties on any packet ([MQTT-3.1.2-29]). */
  readonly problemInformation: boolean;
  /** Aliases the server may set. */
  readonly topicAliasMaximum: number;
  /** By which the client authenticated, and may again. */
  readonly authenticationMethod?: string;
}

/** Of all that may have none. */
const noTopicAliases = new OutboundTopicAliases(0);

/** One Network Connection. */
export class Connection {
  readonly connectionId: string;
  readonly openedAtMs: number;
  readonly randomClientId: string;
  readonly clientIdHint: string | undefined;
  client: ClientSettings | undefined;
  /** As CONNECT said; both hold already for the CONNACK that refuses it. */
  protocolVersion: ProtocolVersion = 4;
  maximumPacketSizeBytes: number | undefined;
  /** Absent before CONNECT, and after a hibernation until the sessions are loaded. */
  session: Session | undefined;
  lastSeenAtMs: number;
  /** The client's network address, as the platform tells it. */
  readonly address: string | undefined;
  /** An authentication under way. */
  authentication: Authentication | undefined;
  /** Counts the questions to the host about credentials: older answers are stale. */
  attempt = 0;
  /** What the client has said of late, if that is limited. */
  inflow: Inflow | undefined;
  /** What it has published on the day of its last message, if that is limited. */
  messagesToday: DailyCount | undefined;
  outboundTopicAliases = noTopicAliases;
  /** When the alarm last came by although the connection was not silent for too long. */
  lookedAtMs = 0;
  readonly topicAliases = new SmallMap<number, string>();
  /** When the packet began whose bytes are not complete. */
  unfinishedSinceMs: number | undefined;
  /** PUBACKs and PUBRECs that wait for a commit; later ones queue up behind them. */
  parkedAckCount = 0;
  /** The PUBACKs among them. */
  parkedPubackCount = 0;
  /** CONNACK, SUBACK or UNSUBACK waits for a commit, and everything else for it. */
  holdsOutput = false;
  /** It is CONNACK that waits: nothing may come before it. */
  awaitsConnack = false;
  /** What is held of it until it is admitted, or while it authenticates anew. */
  parked: ParkedInput | undefined;
  /** Sent in the present turn, which the socket does not know yet. */
  turnBytes = 0;
  #isClosed = false;
  #identity: Identity | undefined;
  #identityBytes = 0;
  #publishAcks: AckQueue | undefined;
  #subscribeAcks: AckQueue | undefined;
  readonly #boot: number;
  #savedLastSeenAtMs: number;
  /** The last-seen time that the attachment had when the object woke. */
  #restoredAtMs: number | undefined;
  /** The session's part of the attachment, while the session is not loaded. */
  #sleeping: AttachedClient | undefined;

  constructor(connectionId: string, attachment: ConnectionAttachment) {
    this.connectionId = connectionId;
    this.#boot = attachment.boot;
    this.openedAtMs = attachment.openedAtMs;
    this.randomClientId = attachment.randomClientId;
    this.clientIdHint = attachment.clientIdHint;
    this.address = attachment.address;
    if (attachment.identity !== undefined) this.identify(attachment.identity);
    this.lastSeenAtMs = attachment.openedAtMs;
    this.#savedLastSeenAtMs = attachment.openedAtMs;
    if (attachment.client !== undefined) this.#restore(attachment.client);
  }

  /** Absent before CONNECT, unless the upgrade request had a credential. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** What the identity takes in the attachment. */
  get identityBytes(): number {
    return this.#identityBytes;
  }

  identify(identity: Identity): void {
    this.#identity = identity;
    this.#identityBytes = identitySizeBytes(identity);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** It is over here, whatever becomes of its socket: nothing is held for it any more. */
  end(): void {
    this.#isClosed = true;
    this.parked?.clear();
  }

  /** When the identity ends, and the connection of an admitted client with it. */
  get expiresAtMs(): number | undefined {
    return this.isClosed || this.client === undefined ? undefined : this.#identity?.expiresAtMs;
  }

  /** PUBACKs and PUBRECs, some of which wait for other shards. */
  get publishAcks(): AckQueue {
    return (this.#publishAcks ??= new AckQueue());
  }

  /** SUBACKs and UNSUBACKs, likewise. */
  get subscribeAcks(): AckQueue {
    return (this.#subscribeAcks ??= new AckQueue());
  }

  /** 1.5 × Keep Alive after the last packet ([MQTT-3.1.2-22]); undefined when Keep Alive is off. */
  get keepAliveDueAtMs(): number | undefined {
    if (this.isClosed || this.client === undefined || this.client.keepAliveSec === 0) return undefined;
    // A saved time may be older than the truth by up to a step: nobody is closed early.
    const slackMs = this.lastSeenAtMs === this.#restoredAtMs ? Times.lastSeenStepMs : 0;
    return this.lastSeenAtMs + slackMs + this.client.keepAliveSec * 1500;
  }

  /** When a socket that has not come to a whole packet is closed. */
  get incompleteDueAtMs(): number | undefined {
    if (this.isClosed) return undefined;
    const authenticationMs = this.authentication?.sinceMs ?? Infinity;
    const packetMs = this.client === undefined ? Infinity : (this.unfinishedSinceMs ?? Infinity);
    const sinceMs = Math.min(authenticationMs, packetMs);
    if (sinceMs !== Infinity) return sinceMs + Times.incompletePacketMs;
    return this.client === undefined ? this.openedAtMs + Times.incompletePacketMs : undefined;
  }

  /** What it is that is not complete when {@link incompleteDueAtMs} has come. */
  get incompleteness(): Refusal {
    if (this.unfinishedSinceMs !== undefined) {
      return { reasonCode: ReasonCode.MalformedPacket, reasonString: "A packet was not completed" };
    }
    if (this.authentication !== undefined) {
      return { reasonCode: ReasonCode.NotAuthorized, reasonString: "The authentication was not completed" };
    }
    return { reasonCode: ReasonCode.ProtocolError, reasonString: "There was no CONNECT" };
  }

  /** It could not go on from its attachment: something of it is in memory only. */
  get isUnsettled(): boolean {
    const isEmpty = (this.#publishAcks?.isEmpty ?? true) && (this.#subscribeAcks?.isEmpty ?? true);
    return this.parkedAckCount > 0 || this.authentication !== undefined || !isEmpty;
  }

  get isLastSeenStale(): boolean {
    return this.client !== undefined && this.lastSeenAtMs - this.#savedLastSeenAtMs >= Times.lastSeenStepMs;
  }

  /** What the socket keeps through hibernation. */
  attachment(): ConnectionAttachment {
    this.#savedLastSeenAtMs = this.lastSeenAtMs;
    const client = this.#attachedClient();
    const identity = this.#identity;
    return {
      boot: this.#boot,
      openedAtMs: this.openedAtMs,
      // Of no use after CONNECT.
      randomClientId: client === undefined ? this.randomClientId : "",
      ...(this.clientIdHint !== undefined && { clientIdHint: this.clientIdHint }),
      ...(this.address !== undefined && { address: this.address }),
      // Who is connected and has none is anonymous.
      ...(identity !== undefined && identity !== anonymousIdentity && { identity }),
      ...(client !== undefined && { client }),
    };
  }

  #attachedClient(): AttachedClient | undefined {
    const { lastSeenAtMs, maximumPacketSizeBytes, messagesToday } = this;
    if (this.session === undefined) return this.#sleeping && { ...this.#sleeping, lastSeenAtMs };
    if (this.client === undefined) return undefined;
    return {
      ...this.client,
      protocolVersion: this.protocolVersion,
      ...this.session.attached(),
      lastSeenAtMs,
      ...(maximumPacketSizeBytes !== undefined && { maximumPacketSizeBytes }),
      ...(messagesToday !== undefined && { messagesToday }),
      topicAliases: [...this.topicAliases],
    };
  }

  #restore(client: AttachedClient): void {
    const { protocolVersion, clientId, keepAliveSec, receiveMaximum, problemInformation } = client;
    const { topicAliasMaximum } = client;
    this.#sleeping = client;
    if (this.#identity === undefined) this.identify(anonymousIdentity);
    this.protocolVersion = protocolVersion;
    this.client = {
      clientId,
      keepAliveSec,
      receiveMaximum,
      problemInformation,
      topicAliasMaximum,
      ...(client.authenticationMethod !== undefined && {
        authenticationMethod: client.authenticationMethod,
      }),
    };
    this.messagesToday = client.messagesToday;
    this.maximumPacketSizeBytes = client.maximumPacketSizeBytes;
    if (topicAliasMaximum > 0) this.outboundTopicAliases = new OutboundTopicAliases(topicAliasMaximum);
    this.#savedLastSeenAtMs = client.lastSeenAtMs;
    this.#restoredAtMs = client.lastSeenAtMs;
    this.lastSeenAtMs = client.lastSeenAtMs;
    for (const [topicAlias, topicName] of client.topicAliases) this.topicAliases.set(topicAlias, topicName);
  }
}
