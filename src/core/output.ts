import type { CoreConfig } from "./config.ts";
import type { CloseCode, Effect } from "./effect.ts";
import type { Connection } from "./connection/connection.ts";
import { sizeOf } from "./publication.ts";
import type { Delivery, PublishResponsePacket, ServerPacket } from "./packet.ts";

/**
 * Collects the effects of an event: those that may go now, and those that must not be seen before what they say is
 * written ("acknowledge after commit").
 */
export class Output {
  readonly #packetSizeBytes: CoreConfig["packetSizeBytes"];
  #now: Effect[] = [];
  #afterCommit: Effect[] = [];
  /** Connections that have something among the effects after the commit. */
  readonly #parkedFor = new Set<Connection>();
  readonly #sentTo = new Set<Connection>();
  /** Connections whose attachment is out of date. */
  readonly outdatedAttachments = new Set<Connection>();

  constructor(packetSizeBytes: CoreConfig["packetSizeBytes"]) {
    this.#packetSizeBytes = packetSizeBytes;
  }

  send(connection: Connection, packet: ServerPacket): void {
    this.#push(connection, this.#sending(connection, packet));
  }

  sendAfterCommit(connection: Connection, packet: ServerPacket): void {
    if (connection.isClosed) return;
    this.#afterCommit.push(this.#sending(connection, packet));
    this.#parkedFor.add(connection);
  }

  /** Whether the client's Maximum Packet Size allows the packet ([MQTT-3.1.2-24]). */
  fits({ maximumPacketSizeBytes, protocolVersion }: Connection, packet: ServerPacket): boolean {
    if (maximumPacketSizeBytes === undefined) return true;
    return this.#packetSizeBytes(packet, protocolVersion) <= maximumPacketSizeBytes;
  }

  /** CONNACK, SUBACK or UNSUBACK that waits for a commit: everything else of the connection follows it. */
  holdAfterCommit(connection: Connection, packet: ServerPacket): void {
    this.sendAfterCommit(connection, packet);
    connection.holdsOutput = true;
    if (packet.type === "connack") connection.awaitsConnack = true;
  }

  /** PUBACK or PUBREC: they leave in the order of their PUBLISHes, so one that waits holds back the later ones. */
  acknowledge(connection: Connection, packet: PublishResponsePacket, mustWait: boolean): void {
    if (!mustWait && connection.parkedAckCount === 0) {
      this.send(connection, packet);
      return;
    }
    connection.parkedAckCount += 1;
    if (packet.type === "puback") connection.parkedPubackCount += 1;
    this.sendAfterCommit(connection, packet);
  }

  deliver(connection: Connection, delivery: Delivery): void {
    connection.turnBytes += sizeOf(delivery);
    this.#sentTo.add(connection);
    const { connectionId, protocolVersion } = connection;
    this.#push(connection, { type: "deliver", connectionId, protocolVersion, delivery });
  }

  close(connection: Connection, code: CloseCode, reason: string): void {
    if (connection.isClosed) return;
    connection.end();
    this.outdatedAttachments.delete(connection);
    this.#now.push({ type: "close", connectionId: connection.connectionId, code, reason });
  }

  setAlarm(dueAtMs: number, unconfirmed: boolean): void {
    this.#now.push({ type: "setAlarm", dueAtMs, unconfirmed });
  }

  push(effect: Effect): void {
    this.#now.push(effect);
  }

  /** What another shard is told of something that may have to be written first. */
  pushWhenSafe(effect: Effect, mustWait: boolean): void {
    if (mustWait) this.#afterCommit.push(effect);
    else this.#now.push(effect);
  }

  take(): Effect[] {
    const effects = this.#now;
    this.#now = [];
    return effects;
  }

  /** The turn is over: the sockets know what was sent. */
  endTurn(): void {
    for (const connection of this.#sentTo) connection.turnBytes = 0;
    this.#sentTo.clear();
  }

  /** The last packet of a connection, which waits for nothing. */
  sendLast(connection: Connection, packet: ServerPacket): void {
    if (!connection.isClosed) this.#now.push(this.#sending(connection, packet));
  }

  /** Hands over what waited for the commit, and lets the connections go on. */
  takeAfterCommit(): Effect[] {
    const effects = this.#afterCommit;
    this.#afterCommit = [];
    for (const connection of this.#parkedFor) {
      connection.parkedAckCount = 0;
      connection.parkedPubackCount = 0;
      connection.holdsOutput = false;
      connection.awaitsConnack = false;
    }
    this.#parkedFor.clear();
    return effects;
  }

  /** A Reason String, or User Properties, that make the packet too large are left out ([MQTT-3.4.2-2] and its like). */
  #sending(connection: Connection, packet: ServerPacket): Effect {
    const { connectionId, protocolVersion } = connection;
    const isLong = "reasonString" in packet || "userProperties" in packet;
    if (!isLong || this.fits(connection, packet)) {
      return { type: "send", connectionId, protocolVersion, packet };
    }
    const { reasonString: _, userProperties: __, ...rest } = { userProperties: [], ...packet };
    return { type: "send", connectionId, protocolVersion, packet: rest as ServerPacket };
  }

  #push(connection: Connection, effect: Effect): void {
    if (connection.isClosed) return;
    if (connection.holdsOutput) {
      this.#afterCommit.push(effect);
    } else {
      this.#now.push(effect);
    }
  }
}
