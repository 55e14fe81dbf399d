import type { ShardStub } from "../shard-address.ts";
import type { PeerSession } from "./peer-session.ts";

/** Above this rate of calls, to all peers together, sessions are held, inside which calls are not billed. */
const callsPerSecMax = 20;
/** A held session keeps both objects awake, so they end soon after the calls have become fewer. */
const lullMs = 2_000;

type HeldSession = PeerSession & Disposable;

/**
 * Calls to the other shards of the namespace: each by itself, or in sessions while they are many. It is the rate of the
 * whole shard that counts, for a busy one is awake in any case; between many shards each pair calls rarely.
 */
export class PeerLinks {
  readonly #stub: (index: number) => ShardStub;
  readonly #sessions = new Map<number, Promise<HeldSession>>();
  /** Calls of the second that began then. */
  #count = 0;
  #sinceMs = 0;
  #busyUntilMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(stub: (index: number) => ShardStub) {
    this.#stub = stub;
  }

  async call(to: number, bytes: Uint8Array): Promise<Uint8Array> {
    const nowMs = Date.now();
    this.#noteCall(nowMs);
    // Otherwise a new stub each time: one that has failed stays broken.
    if (nowMs >= this.#busyUntilMs) return this.#stub(to).peer(bytes);
    const session = this.#session(to);
    try {
      return await (await session).peer(bytes);
    } catch (error) {
      // The other object may have been restarted; the next call opens another session.
      if (this.#sessions.get(to) === session) this.#sessions.delete(to);
      this.#end(session);
      throw error;
    }
  }

  #noteCall(nowMs: number): void {
    if (nowMs - this.#sinceMs >= 1000) {
      this.#count = 0;
      this.#sinceMs = nowMs;
    }
    this.#count += 1;
    if (this.#count > callsPerSecMax) this.#busyUntilMs = nowMs + lullMs;
  }

  #session(to: number): Promise<HeldSession> {
    let session = this.#sessions.get(to);
    if (session === undefined) {
      session = this.#open(to);
      this.#sessions.set(to, session);
    }
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#look(), lullMs);
    return session;
  }

  async #open(to: number): Promise<HeldSession> {
    return (await this.#stub(to).openSession()) as unknown as HeldSession;
  }

  /** Goes on looking as long as there are many calls, then ends all sessions. */
  #look(): void {
    const leftMs = this.#busyUntilMs - Date.now();
    if (leftMs > 0) {
      this.#timer = setTimeout(() => this.#look(), leftMs);
      return;
    }
    this.#timer = undefined;
    for (const session of this.#sessions.values()) this.#end(session);
    this.#sessions.clear();
  }

  #end(session: Promise<HeldSession>): void {
    void session.then(
      (held) => held[Symbol.dispose](),
      () => {},
    );
  }
}
