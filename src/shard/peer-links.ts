import type { ShardStub } from "../shard-address.ts";
import type { PeerSession } from "./peer-session.ts";

/** Above this rate of calls, to all peers together, sessions are held, inside which calls are not billed. */
const callsPerSecMax = 20;
/** A held session keeps both objects awake, so all end soon after the calls have become fewer. */
const lullMs = 2_000;
/** And one ends that no call has used for so long. */
const silenceMs = 10_000;

type HeldSession = PeerSession & Disposable;

interface Link {
  readonly session: Promise<HeldSession>;
  usedAtMs: number;
}

/**
 * Calls to the other shards of the namespace: each by itself, or in sessions while they are many. It is the rate of the
 * whole shard that counts, for a busy one is awake in any case; between many shards each pair calls rarely.
 */
export class PeerLinks {
  readonly #stub: (index: number) => ShardStub;
  readonly #onEnded: () => void;
  readonly #links = new Map<number, Link>();
  /** Calls of the second that began then. */
  #count = 0;
  #sinceMs = 0;
  #wasBusy = false;
  #busyUntilMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `onEnded` is called when no session is held any more. */
  constructor(stub: (index: number) => ShardStub, onEnded: () => void) {
    this.#stub = stub;
    this.#onEnded = onEnded;
  }

  /** Sessions are held: the object cannot sleep. */
  get isHolding(): boolean {
    return this.#timer !== undefined;
  }

  async call(to: number, bytes: Uint8Array): Promise<Uint8Array> {
    const nowMs = Date.now();
    this.#noteCall(nowMs);
    // Otherwise a new stub each time: one that has failed stays broken.
    if (nowMs >= this.#busyUntilMs) return this.#stub(to).peer(bytes);
    const link = this.#link(to, nowMs);
    try {
      return await (await link.session).peer(bytes);
    } catch (error) {
      // The other object may have been restarted; the next call opens another session.
      if (this.#links.get(to) === link) this.#links.delete(to);
      this.#end(link);
      throw error;
    }
  }

  /** Busy is who was so for a whole second and goes on: a burst is not worth waking others for. */
  #noteCall(nowMs: number): void {
    const sinceMs = nowMs - this.#sinceMs;
    if (sinceMs >= 1000) {
      this.#wasBusy = sinceMs < 2000 && this.#count > callsPerSecMax;
      this.#count = 0;
      this.#sinceMs = nowMs;
    }
    this.#count += 1;
    if (this.#wasBusy && this.#count > callsPerSecMax) this.#busyUntilMs = nowMs + lullMs;
  }

  #link(to: number, nowMs: number): Link {
    let link = this.#links.get(to);
    if (link === undefined) {
      link = { session: this.#open(to), usedAtMs: nowMs };
      this.#links.set(to, link);
    }
    link.usedAtMs = nowMs;
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#look(), lullMs);
    return link;
  }

  async #open(to: number): Promise<HeldSession> {
    return (await this.#stub(to).openSession()) as unknown as HeldSession;
  }

  /** Goes on looking as long as there are many calls. */
  #look(): void {
    const nowMs = Date.now();
    const isBusy = nowMs < this.#busyUntilMs;
    for (const [to, link] of this.#links) {
      if (isBusy && nowMs - link.usedAtMs < silenceMs) continue;
      this.#links.delete(to);
      this.#end(link);
    }
    this.#timer = isBusy ? setTimeout(() => this.#look(), lullMs) : undefined;
    if (!isBusy) this.#onEnded();
  }

  #end({ session }: Link): void {
    void session.then(
      (held) => held[Symbol.dispose](),
      () => {},
    );
  }
}
