import type { Clock } from "../clock.ts";
import type { AttachedClient, SurvivingConnections } from "../effect.ts";
import type { Output } from "../output.ts";
import { Connection } from "./connection.ts";

/** The Network Connections of the shard. After a sleep each is known again when it is asked for. */
export class Connections {
  readonly #surviving: SurvivingConnections;
  readonly #clock: Clock;
  readonly #output: Output;
  readonly #byId = new Map<string, Connection>();

  constructor(surviving: SurvivingConnections, clock: Clock, output: Output) {
    this.#surviving = surviving;
    this.#clock = clock;
    this.#output = output;
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.#byId.values();
  }

  add(connection: Connection): void {
    this.#byId.set(connection.connectionId, connection);
    this.#output.outdatedAttachments.add(connection);
    this.#clock.watchConnection(connection);
  }

  delete(connectionId: string): void {
    this.#byId.delete(connectionId);
  }

  clear(): void {
    this.#byId.clear();
  }

  dropClosed(): void {
    for (const [connectionId, { isClosed }] of this.#byId) {
      if (isClosed) this.#byId.delete(connectionId);
    }
  }

  find(connectionId: string): Connection | undefined {
    return this.#byId.get(connectionId);
  }

  /** The connection as its socket's attachment has it, if it is not known yet. */
  wake(
    connectionId: string,
  ): { readonly connection: Connection; readonly client?: AttachedClient } | undefined {
    const attachment = this.#surviving.read(connectionId);
    if (attachment === undefined) return undefined;
    const connection = new Connection(connectionId, attachment);
    this.#byId.set(connectionId, connection);
    // Should its alarm be gone (it failed too often), this arms another.
    this.#clock.watchConnection(connection);
    const { client } = attachment;
    return { connection, ...(client !== undefined && { client }) };
  }

  /** Connections that could not go on from their attachments if memory were thrown away now. */
  unsafeIds(): string[] {
    const unsafe: string[] = [];
    for (const connection of this.#byId.values()) {
      const { session } = connection;
      const isVolatile = session !== undefined && (session.outbound.isVolatile || session.replays.length > 0);
      const isUnsettled = this.#output.outdatedAttachments.has(connection) || connection.isUnsettled;
      if (isVolatile || isUnsettled || connection.unfinishedSinceMs !== undefined) {
        unsafe.push(connection.connectionId);
      }
    }
    return unsafe;
  }
}
