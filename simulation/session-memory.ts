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
  #lostAtMs: number | undefined;

  constructor(plan: ClientPlan) {
    this.#plan = plan;
  }

  /**
   * A session that has perhaps expired, and perhaps been made anew by a CONNECT that was not answered, is not gone on
   * with.
   */
  isDoubtful(nowMs: number): boolean {
    const { sessionExpiryIntervalSec } = this.#plan;
    if (this.#lostAtMs === undefined || this.#triedCount === 0) return false;
    return nowMs - this.#lostAtMs >= sessionExpiryIntervalSec * 1000 - marginMs;
  }

  onLost(nowMs: number): void {
    this.#lostAtMs ??= nowMs;
  }

  onConnect({ cleanStart }: ConnectPacket): void {
    this.#triedCount += 1;
    this.#isClean = cleanStart;
  }

  onConnack(record: LinkRecord, isPresent: boolean): void {
    const expected = this.#expected(record);
    if (expected !== undefined && expected !== isPresent) {
      const { clientId } = this.#plan;
      throw new Violation("session present", `${clientId} is told ${isPresent} on ${record.linkId}`);
    }
    if (!isPresent) this.epoch += 1;
    this.#served = record;
    this.#lostAtMs = undefined;
    this.#triedCount = 0;
  }

  #expected({ attachedAtMs = 0 }: LinkRecord): boolean | undefined {
    const expiryMs = this.#plan.sessionExpiryIntervalSec * 1000;
    if (this.#isClean || expiryMs === 0) return false;
    const served = this.#served;
    if (served === undefined) return this.#triedCount > 1 ? undefined : false;
    if (this.#plan.sessionExpiryIntervalSec === neverExpires) return true;
    // While it is not over for the shard, it is not over.
    const awayMs = attachedAtMs - (served.endedAtMs ?? attachedAtMs);
    if (awayMs < expiryMs) return true;
    const isCertain = served.end !== "reset" && !served.isUncertain && this.#triedCount === 1;
    return isCertain ? false : undefined;
  }
}
