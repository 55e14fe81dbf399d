import type { ClientSocket } from "./client-socket.ts";
import { StalledSockets } from "./stalled-sockets.ts";

/** Sockets with something that was written and is not sent yet, or was sent and is not taken. */
export class UnsentSockets {
  readonly #written = new Set<ClientSocket>();
  readonly #stalled = new StalledSockets();
  /** With more untaken than any client may have. */
  readonly #overflowing = new Set<ClientSocket>();

  get hasOverflowing(): boolean {
    return this.#overflowing.size > 0;
  }

  /** When {@link takeStalled} wants to be called; undefined when all is taken. */
  get checkDueAtMs(): number | undefined {
    return this.#stalled.checkDueAtMs;
  }

  /** Something was written to the socket. */
  add(socket: ClientSocket): void {
    this.#written.add(socket);
  }

  forget(socket: ClientSocket): void {
    this.#written.delete(socket);
    this.#stalled.forget(socket);
  }

  /** Sends all; `onFailed` is told of the sockets with which that fails. */
  sendAll(onFailed: (socket: ClientSocket) => void, nowMs: number): void {
    for (const socket of this.#written) {
      try {
        socket.flush();
      } catch (error) {
        console.error("duramq: sending failed", error);
        onFailed(socket);
      }
      this.#stalled.note(socket, nowMs);
      if (this.#stalled.isOverflowing(socket)) this.#overflowing.add(socket);
    }
    this.#written.clear();
  }

  takeOverflowing(): ClientSocket[] {
    const sockets = [...this.#overflowing];
    this.#overflowing.clear();
    return sockets;
  }

  takeStalled(nowMs: number): ClientSocket[] {
    if ((this.#stalled.checkDueAtMs ?? Infinity) > nowMs) return [];
    return this.#stalled.takeStalled(nowMs);
  }
}
