import { defaultLimits } from "../../../src/core/limits.ts";
/** A lane over an outbox in memory; the test is the other shard. */
import { Counters } from "../../../src/core/counters.ts";
import type { QueueLimits } from "../../../src/core/limits.ts";
import { Backoff } from "../../../src/core/peers/backoff.ts";
import type { Fate } from "../../../src/core/peers/lane.ts";
import { Lane } from "../../../src/core/peers/lane.ts";
import type { BatchAnswer, Outcome, PublishItem } from "../../../src/core/peers/message.ts";
import { Outbox } from "../../../src/core/peers/outbox.ts";
import { MessageLog } from "../../../src/core/queue/message-log.ts";
import { ReasonCode } from "../../../src/core/reason-code.ts";
import { emptyWriteSet } from "../../../src/core/storage-port.ts";
import { MemoryShardStorage } from "../../../src/storage/memory-shard-storage.ts";
import { bytesOf } from "../simulated-client.ts";

export const plenty: QueueLimits = { messagesMax: 1000, bytesMax: 1_000_000 };
export const startMs = 1_800_000_000_000;
export const success: Outcome = { reasonCode: ReasonCode.Success };

type Publish = PublishItem & { readonly type: "publish" };

/** A lane over an outbox in memory, the test being the other shard. */
export class Bench {
  readonly counters = new Counters();
  readonly storage = new MemoryShardStorage();
  readonly log = new MessageLog(this.storage, defaultLimits);
  readonly outcomes: string[] = [];
  readonly settled: string[] = [];
  readonly outbox: Outbox;
  readonly lane: Lane;
  nowMs = startMs;

  constructor(memory = plenty, stored = plenty) {
    this.outbox = new Outbox(-1, this.log, stored);
    this.lane = new Lane({
      name: "publish",
      life: 0,
      from: 0,
      to: 1,
      outbox: this.outbox,
      counters: this.counters,
      memory,
      patienceMs: 3_000,
      backoff: new Backoff(1),
      onOutcome: (item, outcome, _to, settle) => {
        this.outcomes.push(nameOf(item));
        settle?.(outcome);
      },
    });
  }

  post(name: string, fate: Fate, qos: 0 | 1 | 2 = fate === "dropped" ? 0 : 1): void {
    this.lane.post(publishOf(name, qos), fate, this.#settle(name), 100, this.nowMs);
  }

  postDurable(name: string, qos: 0 | 1 | 2 = 2): void {
    this.lane.postDurable(publishOf(name, qos), this.#settle(name), this.nowMs);
  }

  commit(): void {
    this.storage.commit({ ...emptyWriteSet(), ...this.log.flush() });
    this.log.noteCommitted();
  }

  /** The batch to send now, if any. */
  send(): { items: string[]; stream: number; sequence: number } | undefined {
    const batch = this.lane.next(this.nowMs);
    return batch && { items: batch.items.map(nameOf), stream: batch.stream, sequence: batch.sequence };
  }

  answer({ items, stream, sequence }: NonNullable<ReturnType<Bench["send"]>>, outcome = success): void {
    this.reply({ stream, sequence }, { type: "applied", outcomes: items.map(() => outcome) });
  }

  reply({ stream, sequence }: { stream: number; sequence: number }, answer: BatchAnswer): void {
    this.lane.answered(stream, sequence, answer, this.nowMs);
  }

  fail({ stream, sequence }: { stream: number; sequence: number }): void {
    this.lane.failed(stream, sequence, this.nowMs);
  }

  /** Moves the clock, from one timer to the next. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let due = this.lane.timerDueAtMs; due <= untilMs; due = this.lane.timerDueAtMs) {
      this.nowMs = Math.max(this.nowMs, due);
      this.lane.tick(this.nowMs);
      if (this.lane.timerDueAtMs <= this.nowMs) break;
    }
    this.nowMs = untilMs;
    this.lane.tick(this.nowMs);
  }

  #settle(name: string): (outcome: Outcome) => void {
    return ({ reasonCode }) => this.settled.push(`${name} ${reasonCode}`);
  }
}

function publishOf(name: string, qos: 0 | 1 | 2): Publish {
  const message = { topicName: name, payload: bytesOf(name), qos, retain: false };
  return { type: "publish", publication: { message }, publisherClientId: "p" };
}

function nameOf(one: object): string {
  return (one as Publish).publication.message.topicName;
}

export function sent(bench: Bench): NonNullable<ReturnType<Bench["send"]>> {
  const batch = bench.send();
  if (batch === undefined) throw new Error("nothing is sent");
  return batch;
}
