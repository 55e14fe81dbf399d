/** What a client can know of whether the broker still has its session. */
import type { ConnectPacket } from "../src/core/packet.ts";
import { Violation } from "./history.ts";
import type { LinkRecord } from "./link.ts";
import type { ClientPlan } from "./plan.ts";

const neverExpires = 0xffff_ffff;
/** The shard may have lost the connection so long before the client noticed. */
const marginMs = 10_000;

export class SessionMemory {
  /** Counts the sessions that the client knows of. */
  epoch = 0;
  readonly #plan: ClientPlan;
  /** The last connection that was served. */
  #served: LinkRecord | undefined;
  /** Connections that were tried since. */
  #triedCount = 0;
  #isClean = false;
  /** Session Expiry Interval of the last CONNECT, and of the last connection that was served. */
  #askedExpirySec = 0;
  #expirySec = 0;
  #lostAtMs: number | undefined;

  constructor(plan: ClientPlan) {
    this.#plan = plan;
  }

  get endsWithConnection(): boolean {
    return this.#expirySec === 0;
  }

  /**
   * A session that has perhaps expired, and perhaps been made anew by a CONNECT that was not answered, is not gone on
   * with.
   */
  isDoubtful(nowMs: number): boolean {
    if (this.#lostAtMs === undefined || this.#triedCount === 0) return false;
    return nowMs - this.#lostAtMs >= this.#expirySec * 1000 - marginMs;
  }

  onLost(nowMs: number): void {
    this.#lostAtMs ??= nowMs;
  }

  onConnect({ cleanStart, sessionExpiryIntervalSec }: ConnectPacket): void {
    this.#triedCount += 1;
    this.#isClean = cleanStart;
    this.#askedExpirySec = sessionExpiryIntervalSec;
  }

  onConnack(record: LinkRecord, isPresent: boolean): void {
    const expected = this.#expected(record);
    if (expected !== undefined && expected !== isPresent) {
      const { clientId } = this.#plan;
      throw new Violation("session present", `${clientId} is told ${isPresent} on ${record.linkId}`);
    }
    if (!isPresent) this.epoch += 1;
    this.#served = record;
    this.#expirySec = this.#askedExpirySec;
    this.#lostAtMs = undefined;
    this.#triedCount = 0;
  }

  #expected({ attachedAtMs = 0 }: LinkRecord): boolean | undefined {
    if (this.#isClean || this.#askedExpirySec === 0) return false;
    const served = this.#served;
    if (served === undefined || this.#expirySec === 0) return this.#triedCount > 1 ? undefined : false;
    if (this.#expirySec === neverExpires) return true;
    const expiryMs = this.#expirySec * 1000;
    // While it is not over for the shard, it is not over.
    const awayMs = attachedAtMs - (served.endedAtMs ?? attachedAtMs);
    if (awayMs < expiryMs) return true;
    const isCertain = served.end !== "reset" && !served.isUncertain && this.#triedCount === 1;
    return isCertain ? false : undefined;
  }
}
