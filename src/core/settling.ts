import type { Access } from "./access/access.ts";
import type { Boot } from "./boot.ts";
import type { Clock } from "./clock.ts";
import type { CostMeter } from "./cost/cost-meter.ts";
import type { Output } from "./output.ts";
import type { MessageLog } from "./queue/message-log.ts";
import type { Delivering } from "./session/delivering.ts";
import type { ShardParts } from "./shard-parts.ts";
import type { WriteSet } from "./storage-port.ts";
import type { TokenBucket } from "./token-bucket.ts";

export interface SettlingParts extends ShardParts {
  readonly access: Access;
  readonly boot: Boot;
  readonly clock: Clock;
  readonly cost: CostMeter;
  readonly delivering: Delivering;
  readonly flushes: TokenBucket;
  readonly log: MessageLog;
  readonly output: Output;
}

/** Ends turns: writes what is due, sends what waited for it, and brings the sockets' attachments up to date. */
export class Settling {
  readonly #parts: SettlingParts;
  #flushDueAtMs: number | undefined;
  #replayDueAtMs: number | undefined;

  constructor(parts: SettlingParts) {
    this.#parts = parts;
  }

  /** Something has to be written before acknowledgements may leave. */
  get mustCommit(): boolean {
    const { log, retained } = this.#parts;
    return log.mustFlush || retained.hasUnwritten || this.#hasUrgentRows;
  }

  /** When the next flush may come, or what waits for sockets goes on. */
  get dueAtMs(): number {
    return Math.min(this.#flushDueAtMs ?? Infinity, this.#replayDueAtMs ?? Infinity);
  }

  /** Whether full sockets and retained messages are to be looked at again; they wait no longer. */
  takeReplayDue(nowMs: number): boolean {
    if (this.#replayDueAtMs === undefined || this.#replayDueAtMs > nowMs) return false;
    this.#replayDueAtMs = undefined;
    return true;
  }

  settle(nowMs: number): void {
    const { clock, delivering, flushes, log, output, peers, replaying } = this.#parts;
    log.noteTime(nowMs);
    this.#flushDueAtMs = undefined;
    if (this.#hasUrgentRows) {
      this.commit(nowMs);
    } else if (this.mustCommit) {
      if (flushes.availableAtMs(nowMs) <= nowMs) this.commit(nowMs);
    } else {
      // What was to be written has been taken back in the same turn: nothing is left to wait for.
      for (const effect of output.takeAfterCommit()) output.push(effect);
    }
    // What was handed from one session to another behind a commit has to be written in turn.
    if (this.mustCommit) this.#flushDueAtMs = flushes.availableAtMs(nowMs);
    peers.pump(nowMs);
    const outboxDueAtMs = peers.alarmDueAtMs(nowMs);
    clock.outboxDueAtMs = outboxDueAtMs && Math.min(clock.outboxDueAtMs ?? Infinity, outboxDueAtMs);
    const delayMs = Math.min(delivering.pausedDelayMs ?? Infinity, replaying.delayMs(nowMs) ?? Infinity);
    this.#replayDueAtMs = delayMs === Infinity ? undefined : nowMs + delayMs;
    // What an attachment says must not be ahead of the log: a defect would make it the truth.
    if (this.#flushDueAtMs === undefined) this.#attach();
  }

  commit(nowMs: number): void {
    const { access, boot, cost, delivering, flushes, log, output } = this.#parts;
    const { peers, retained, routes, sessions } = this.#parts;
    flushes.spend(nowMs);
    const rows = {
      sessions: sessions.takeChangedRows(),
      retainedBlocks: retained.flush(),
      ...log.flush(),
      routes: routes.takeUnwritten(),
    };
    const policy = access.takeUnwritten();
    // That there is no policy is true in any layout: a shard that keeps nothing else may still be given another one.
    const isLayoutFree = policy?.version === 0 && isEmpty(rows) && !boot.hasUnwritten;
    const shard = isLayoutFree ? undefined : boot.takeUnwritten();
    const writes: WriteSet = {
      ...rows,
      ...(shard !== undefined && { shard }),
      ...(policy !== undefined && { policy }),
    };
    addCost(writes, cost);
    const before = output.take();
    const parked = output.takeAfterCommit();
    delivering.pumpCommitted(nowMs);
    peers.pump(nowMs);
    const after = output.take();
    for (const effect of before) output.push(effect);
    output.push({ type: "commit", writes, effects: [...parked, ...after] });
  }

  get #hasUrgentRows(): boolean {
    const { access, boot, routes, sessions } = this.#parts;
    return sessions.hasChangedRows || boot.hasUnwritten || routes.hasUnwritten || access.hasUnwritten;
  }

  #attach(): void {
    const { output } = this.#parts;
    for (const connection of output.outdatedAttachments) {
      const { connectionId } = connection;
      if (!connection.isClosed) {
        output.push({ type: "attach", connectionId, attachment: connection.attachment() });
      }
    }
    output.outdatedAttachments.clear();
  }
}

function isEmpty({ sessions, retainedBlocks, segments, deadSlots, routes }: WriteSet): boolean {
  const counts = [sessions.size, retainedBlocks.size, segments.length, deadSlots.length, routes.length];
  return counts.every((count) => count === 0);
}

/** What the shard has cost goes along with a row that is written anyway: a segment, or else a session. */
function addCost({ segments, sessions }: WriteSet, cost: CostMeter): void {
  const segment = segments.pop();
  if (segment !== undefined) {
    segments.push({ ...segment, cost: cost.record() });
    return;
  }
  for (const [clientId, record] of sessions) {
    if (record === undefined) continue;
    sessions.set(clientId, { ...record, cost: cost.record() });
    return;
  }
}
