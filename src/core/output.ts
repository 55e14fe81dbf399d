import type { CloseCode, Effect } from "./effect.ts";
import type { Connection } from "./connection/connection.ts";
import type { Delivery, PublishResponsePacket, ServerPacket } from "./packet.ts";

/**
 * Collects the effects of an event: those that may go now, and those that must not be seen before what they say is
 * written ("acknowledge after commit").
 */
export class Output {
  #now: Effect[] = [];
  #afterCommit: Effect[] = [];
  /** Connections that have something among the effects after the commit. */
  readonly #parkedFor = new Set<Connection>();
  /** Connections whose attachment is out of date. */
  readonly changed = new Set<Connection>();

  send(connection: Connection, packet: ServerPacket): void {
    const { connectionId, protocolVersion } = connection;
    this.#push(connection, { type: "send", connectionId, protocolVersion, packet });
  }

  sendAfterCommit(connection: Connection, packet: ServerPacket): void {
    if (connection.isClosed) return;
    const { connectionId, protocolVersion } = connection;
    this.#afterCommit.push({ type: "send", connectionId, protocolVersion, packet });
    this.#parkedFor.add(connection);
  }

  /** CONNACK that waits for a commit: everything else of the connection follows it. */
  holdAfterCommit(connection: Connection, connack: ServerPacket): void {
    this.sendAfterCommit(connection, connack);
    connection.holdsOutput = true;
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
    const { connectionId, protocolVersion } = connection;
    this.#push(connection, { type: "deliver", connectionId, protocolVersion, delivery });
  }

  close(connection: Connection, code: CloseCode, reason: string): void {
    if (connection.isClosed) return;
    connection.isClosed = true;
    this.changed.delete(connection);
    this.#now.push({ type: "close", connectionId: connection.connectionId, code, reason });
  }

  setAlarm(dueAtMs: number, unconfirmed: boolean): void {
    this.#now.push({ type: "setAlarm", dueAtMs, unconfirmed });
  }

  push(effect: Effect): void {
    this.#now.push(effect);
  }

  take(): Effect[] {
    const effects = this.#now;
    this.#now = [];
    return effects;
  }

  /** Hands over what waited for the commit, and lets the connections go on. */
  takeAfterCommit(): Effect[] {
    const effects = this.#afterCommit;
    this.#afterCommit = [];
    for (const connection of this.#parkedFor) {
      connection.parkedAckCount = 0;
      connection.parkedPubackCount = 0;
      connection.holdsOutput = false;
    }
    this.#parkedFor.clear();
    return effects;
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
