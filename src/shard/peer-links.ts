import type { ShardStub } from "../shard-address.ts";
import type { PeerSession } from "./peer-session.ts";

/** Above this rate of calls to a shard a session is held, inside which calls are not billed. */
const callsPerSecMax = 20;
/** A held session keeps both objects awake, so it ends soon after the calls do. */
const silenceMs = 2_000;

interface Link {
  session: (PeerSession & Disposable) | undefined;
  /** Calls of the second that began then. */
  count: number;
  sinceMs: number;
  silence: ReturnType<typeof setTimeout> | undefined;
}

/** Calls to the other shards of the namespace: each by itself, or in a session while they are many. */
export class PeerLinks {
  readonly #stub: (index: number) => ShardStub;
  readonly #links = new Map<number, Link>();

  constructor(stub: (index: number) => ShardStub) {
    this.#stub = stub;
  }

  async call(to: number, bytes: Uint8Array): Promise<Uint8Array> {
    const link = this.#link(to);
    // Whoever fails gets a new stub next time: one that has failed stays broken.
    const target = link.session ?? (this.#isBusy(link) ? await this.#open(to, link) : this.#stub(to));
    try {
      return await target.peer(bytes);
    } catch (error) {
      this.#end(link);
      throw error;
    } finally {
      this.#noteCall(link);
    }
  }

  #link(to: number): Link {
    let link = this.#links.get(to);
    if (link === undefined) {
      link = { session: undefined, count: 0, sinceMs: Date.now(), silence: undefined };
      this.#links.set(to, link);
    }
    return link;
  }

  #isBusy(link: Link): boolean {
    const nowMs = Date.now();
    const isNewSecond = nowMs - link.sinceMs >= 1000;
    const isBusy = link.count > callsPerSecMax;
    if (isNewSecond) {
      link.count = 0;
      link.sinceMs = nowMs;
    }
    link.count += 1;
    return isBusy;
  }

  async #open(to: number, link: Link): Promise<PeerSession> {
    const session = (await this.#stub(to).openSession()) as unknown as PeerSession & Disposable;
    if (link.session !== undefined) session[Symbol.dispose]();
    link.session ??= session;
    return link.session;
  }

  #noteCall(link: Link): void {
    if (link.session === undefined) return;
    if (link.silence !== undefined) clearTimeout(link.silence);
    link.silence = setTimeout(() => this.#end(link), silenceMs);
  }

  #end(link: Link): void {
    if (link.silence !== undefined) clearTimeout(link.silence);
    link.silence = undefined;
    link.session?.[Symbol.dispose]();
    link.session = undefined;
    link.count = 0;
  }
}
