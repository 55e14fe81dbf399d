/** The WebSocket of a client, with the time that everything takes on it, and what is known of how it ended. */
import type { ClientPacket, ConnectPacket, ServerPacket } from "../src/core/packet.ts";
import type { Delivery } from "../src/core/packet.ts";
import type { Random, Span } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import type { ShardProcess } from "./shard-process.ts";
import { Wire } from "./wire.ts";

export interface ReceivedPublish extends Delivery {
  readonly type: "publish";
}
export type Received = ServerPacket | ReceivedPublish;

/** The client's end. */
export interface LinkClient {
  onReceived(link: Link, packet: Received): void;
  onEnded(link: Link): void;
}

/** How the connection ended for the shard. */
export type EndKind = "disconnect" | "disconnectWithWill" | "closed" | "server" | "reset";

/** What came to the shard of a connection, and when; known to nobody in the world, but to the one who checks. */
export interface LinkRecord {
  readonly linkId: string;
  readonly clientIndex: number;
  connect: ConnectPacket | undefined;
  /** CONNECT came to the shard. */
  attachedAtMs: number | undefined;
  /** CONNACK left, after whatever had to be written was safe. */
  connackAtMs: number | undefined;
  endedAtMs: number | undefined;
  end: EndKind | undefined;
  /** A reset may have made the end, or the attachment, as if it had not been. */
  isUncertain: boolean;
}

/** How often what is sent comes in two messages. */
const cutChance = 0.1;
/** Between the end of a socket and its event lies at most this. */
const closingMsMax = 3;

export class Link {
  readonly linkId: string;
  readonly record: LinkRecord;
  readonly shard: ShardProcess;
  readonly #client: LinkClient;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #latencyMs: Span;
  readonly #wire: Wire;
  readonly #onConnack: (link: Link) => void;
  #upAtMs = 0;
  #downAtMs = 0;
  #unsent: ClientPacket[] = [];
  /** The client's end is open. */
  isOpen = true;
  /** Nothing passes any more, though perhaps nobody has noticed. */
  isCut = false;
  /** The socket is gone, and the shard is about to hear of it: until then nobody lists it. */
  isGone = false;
  isHeard = false;

  constructor(
    linkId: string,
    clientIndex: number,
    shard: ShardProcess,
    client: LinkClient,
    parts: {
      scheduler: Scheduler;
      random: Random;
      latencyMs: Span;
      protocolVersion: 4 | 5;
      onConnack: (link: Link) => void;
    },
  ) {
    this.linkId = linkId;
    this.shard = shard;
    this.#client = client;
    this.#scheduler = parts.scheduler;
    this.#random = parts.random;
    this.#latencyMs = parts.latencyMs;
    this.#wire = new Wire(parts.protocolVersion);
    this.#onConnack = parts.onConnack;
    this.record = {
      linkId,
      clientIndex,
      connect: undefined,
      attachedAtMs: undefined,
      connackAtMs: undefined,
      endedAtMs: undefined,
      end: undefined,
      isUncertain: false,
    };
    this.#up(() => {
      shard.links.set(linkId, this);
      shard.post({ type: "open", connectionId: linkId, randomClientId: `random-${linkId}` });
    });
  }

  get isServed(): boolean {
    return this.#isKnown && !this.isGone;
  }

  /** The shard has the socket, though it may have ended. */
  get #isKnown(): boolean {
    return this.shard.links.get(this.linkId) === this;
  }

  /** Packets that are sent at the same time come as one message, or two that are cut anywhere. */
  up(packet: ClientPacket): void {
    this.#unsent.push(packet);
    if (this.#unsent.length > 1) return;
    this.#scheduler.after(0, () => {
      const packets = this.#unsent;
      this.#unsent = [];
      const bytes = this.#wire.encode(packets);
      const end = this.#random.chance(cutChance) ? this.#random.between(1, bytes.length) : bytes.length;
      this.#up(() => this.#arrive(bytes.subarray(0, end)));
      if (end < bytes.length) this.#up(() => this.#arrive(bytes.subarray(end)));
    });
  }

  /** The network between client and shard fails; the shard hears of it after `noticeMs`, if at all. */
  cut(noticeMs: number | undefined): void {
    if (this.isCut) return;
    this.isCut = true;
    if (noticeMs !== undefined) this.#scheduler.after(noticeMs, () => this.#notice());
  }

  /** The client closes the socket when what it has sent has come. */
  endByClient(): void {
    this.isOpen = false;
    this.#scheduler.after(0, () => this.#up(() => this.#notice()));
  }

  /** From the shard to the client. */
  send(bytes: Uint8Array): void {
    const packets = this.#wire.decode(bytes);
    for (const packet of packets) {
      if (packet.type === "connack" && packet.reasonCode === 0) this.#onConnack(this);
      this.#down(() => this.#client.onReceived(this, packet));
    }
  }

  close(_reason: string): void {
    this.#down(() => this.#endHere());
  }

  onClosedByServer(): void {
    this.#end("server");
  }

  /** The object is gone: the client hears of it sooner or later. What had left may still come. */
  onReset(): void {
    this.#end("reset");
    if (this.#random.chance(0.5)) this.isCut = true;
    this.#scheduler.after(this.#random.between(0, 3000), () => this.#endHere());
  }

  #endHere(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#client.onEnded(this);
  }

  #notice(): void {
    const { linkId, shard } = this;
    if (!this.isServed) return;
    this.isGone = true;
    const hear = (): void => {
      this.isHeard = true;
      if (this.#isKnown) this.#end("closed");
    };
    this.#scheduler.after(this.#random.between(0, closingMsMax), () =>
      shard.post({ type: "closed", connectionId: linkId }, hear, () => this.#isKnown && shard.forget(linkId)),
    );
  }

  #arrive(bytes: Uint8Array): void {
    if (!this.isServed) return;
    this.shard.receive(this.linkId, bytes, (packets) => {
      for (const packet of packets) this.#note(packet);
    });
  }

  #note(packet: ClientPacket): void {
    if (packet.type === "connect") {
      this.record.connect = packet;
      this.record.attachedAtMs = this.#scheduler.nowMs;
      this.shard.doubts.note(this.record);
    }
    if (packet.type === "disconnect")
      this.#end(packet.reasonCode === 0 ? "disconnect" : "disconnectWithWill");
  }

  #end(kind: EndKind): void {
    if (this.record.end !== undefined) return;
    this.record.end = kind;
    this.record.endedAtMs = this.#scheduler.nowMs;
    if (kind !== "reset") this.shard.doubts.note(this.record);
  }

  #up(work: () => void): void {
    this.#upAtMs = Math.max(this.#upAtMs, this.#scheduler.nowMs + this.#random.in(this.#latencyMs));
    this.#scheduler.at(this.#upAtMs, () => this.isCut || work());
  }

  #down(work: () => void): void {
    this.#downAtMs = Math.max(this.#downAtMs, this.#scheduler.nowMs + this.#random.in(this.#latencyMs));
    this.#scheduler.at(this.#downAtMs, () => this.isCut || work());
  }
}
