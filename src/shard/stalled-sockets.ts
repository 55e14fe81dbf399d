import type { ClientSocket } from "./client-socket.ts";

/** A socket that takes nothing for so long is closed: it holds memory, and the object awake. */
const stalledMs = 30_000;
const checkIntervalMs = 5_000;
/** A client with so much untaken is closed at once. */
const unsentBytesMax = 8 * 1024 * 1024;

interface Progress {
  /** All that the client had taken by then. */
  readonly takenBytes: number;
  readonly sinceMs: number;
}

/**
 * The sockets whose clients have not taken all that was sent. Nobody is told when they do, so they are asked. Only
 * a runtime that has `bufferedAmount` can say: with another, no socket ever seems to have anything unsent.
 */
export class StalledSockets {
  readonly #progress = new Map<ClientSocket, Progress>();
  #checkDueAtMs: number | undefined;

  /** When {@link takeStalled} wants to be called; undefined when all is taken. */
  get checkDueAtMs(): number | undefined {
    return this.#checkDueAtMs;
  }

  /** To be called after something was sent. */
  note(socket: ClientSocket, nowMs: number): void {
    if (socket.unsentBytes === 0 || this.#progress.has(socket)) return;
    this.#progress.set(socket, { takenBytes: takenBytesOf(socket), sinceMs: nowMs });
    this.#checkDueAtMs ??= nowMs + checkIntervalMs;
  }

  forget(socket: ClientSocket): void {
    this.#progress.delete(socket);
  }

  isOverflowing(socket: ClientSocket): boolean {
    return socket.unsentBytes > unsentBytesMax;
  }

  /** Looks at all of them, and hands over those to be closed. */
  takeStalled(nowMs: number): ClientSocket[] {
    const stalled: ClientSocket[] = [];
    for (const [socket, { takenBytes, sinceMs }] of this.#progress) {
      const unsentBytes = socket.measureUnsent();
      if (unsentBytes === 0) {
        this.#progress.delete(socket);
      } else if (takenBytesOf(socket) > takenBytes) {
        this.#progress.set(socket, { takenBytes: takenBytesOf(socket), sinceMs: nowMs });
      } else if (nowMs - sinceMs >= stalledMs) {
        this.#progress.delete(socket);
        stalled.push(socket);
      }
    }
    this.#checkDueAtMs = this.#progress.size > 0 ? nowMs + checkIntervalMs : undefined;
    return stalled;
  }
}

function takenBytesOf({ sentBytes, unsentBytes }: ClientSocket): number {
  return sentBytes - unsentBytes;
}
