import type { Counters } from "../counters.ts";
import type { Limits } from "../limits.ts";
import { Times } from "../limits.ts";
import type { Output } from "../output.ts";
import type { Layout } from "../placement.ts";
import { shardsMax } from "../placement.ts";
import type { MessageLog } from "../queue/message-log.ts";
import { ReasonCode } from "../reason-code.ts";
import { Backoff } from "./backoff.ts";
import { Inlet } from "./inlet.ts";
import type { LaneParts, Settle } from "./lane.ts";
import { Lane } from "./lane.ts";
import type {
  Batch,
  BatchAnswer,
  BatchRefusal,
  DeliverItem,
  LaneName,
  Origin,
  Outcome,
  PublishItem,
} from "./message.ts";
import { Outbox } from "./outbox.ts";
import { Watermark } from "./watermark.ts";

/** What the shard does with what others send. */
export interface PeerHandlers {
  /** As owner of topics; may settle later. */
  handlePublishItem(item: PublishItem, from: number, settle: Settle, nowMs: number): void;
  /** As session shard: at once. */
  handleDeliverItem(item: DeliverItem, from: number, nowMs: number): Outcome;
  /** What another shard made of an item of ours; to be passed on to `settle`. */
  handleOutcome: LaneParts["onOutcome"];
}

export interface PeersParts {
  readonly self: number;
  readonly layout: Layout;
  readonly limits: Limits;
  readonly log: MessageLog;
  readonly output: Output;
  readonly counters: Counters;
  readonly handlers: PeerHandlers;
  readonly claimNumberBlock: () => number;
  /** Whether an answer has to wait for a commit. */
  readonly mustCommit: () => boolean;
}

/** A batch whose items are not all settled; the calls that wait for its answer. */
interface OpenCall {
  readonly callIds: number[];
  readonly stream: number;
  readonly sequence: number;
}

/** Each block is a row written; few lives of an object need a second one. */
const numberBlockSize = 2 ** 20;
/** More than a sender puts into one. */
const batchItemsMax = 1000;
const poisoned: Outcome = {
  reasonCode: ReasonCode.UnspecifiedError,
  reasonString: "The message could not be handled",
};

/** The other shards of the namespace: a lane of each kind to each of them, and what came on theirs. */
export class Peers {
  readonly #parts: PeersParts;
  readonly #lanes = new Map<number, Lane>();
  readonly #outboxes = new Map<number, Outbox>();
  readonly #watermarks = new Map<number, Watermark>();
  readonly #inlets = new Map<string, Inlet>();
  readonly #openCalls = new Map<string, OpenCall>();
  /** Lanes with something to do. */
  readonly #active = new Set<Lane>();
  #life = 0;
  #backoff = new Backoff(0);
  #lastSequence = 0;
  #isRestoring = false;
  #itemInHand: number | undefined;

  constructor(parts: PeersParts) {
    this.#parts = parts;
  }

  start(seed: number): void {
    this.#life = seed;
    this.#backoff = new Backoff(seed);
  }

  /** The item of a batch that is being applied: when that throws, it is the one to leave out. */
  get itemInHand(): number | undefined {
    return this.#itemInHand;
  }

  /** Items in all outboxes. */
  get keptCount(): number {
    let count = 0;
    for (const outbox of this.#outboxes.values()) count += outbox.count;
    return count;
  }

  lane(name: LaneName, to: number): Lane {
    const number = laneNumber(name, to);
    let lane = this.#lanes.get(number);
    if (lane === undefined) this.#lanes.set(number, (lane = this.#newLane(name, to, number)));
    this.#active.add(lane);
    return lane;
  }

  /** A number for a message that only memory holds; it has not been used in any life of the object. */
  newOrigin(): Origin {
    this.#lastSequence += 1;
    if (this.#lastSequence % numberBlockSize === 1) {
      this.#lastSequence = this.#parts.claimNumberBlock() * numberBlockSize + 1;
    }
    return { shard: this.#parts.self, sequence: this.#lastSequence, isVolatile: true };
  }

  /** What has been applied of the numbered messages of a shard that come through an owner. */
  watermark(origin: Origin, owner: number): Watermark {
    return this.#watermark(watermarkNumber(origin, owner));
  }

  /** Who has that number in the message log. */
  participant(number: number): Outbox | Watermark | undefined {
    if (number <= watermarkBase) return this.#watermark(number);
    return number < 0 ? this.#outbox(number) : undefined;
  }

  beginRestoring(): void {
    this.#isRestoring = true;
  }

  /** The log has told what it has: what is still to be sent goes on. */
  endRestoring(): void {
    this.#isRestoring = false;
    for (const [number, outbox] of this.#outboxes) {
      outbox.endRestoring();
      if (!outbox.isEmpty) this.lane(laneNameOf(number), peerOf(number));
    }
  }

  /** Another shard has sent a batch. `skip`: items at which the shard failed. */
  called(callId: number, batch: Batch, skip: ReadonlySet<number>, nowMs: number): void {
    const refusal = this.#refusalOf(batch);
    if (refusal !== undefined) {
      this.#refuse(callId, { type: "refused", refusal });
      return;
    }
    for (const name of ["publish", "deliver"] as const) {
      this.#lanes.get(laneNumber(name, batch.from))?.noteHeard();
    }
    const key = `${batch.lane} ${batch.from}`;
    const inlet = this.#inlet(key);
    const admission = inlet.admit(batch);
    if (admission.type === "refuse") {
      const { refusal: why, stream } = admission;
      this.#refuse(callId, { type: "refused", refusal: why, ...(stream !== undefined && { stream }) });
    } else if (admission.type === "apply") {
      this.#apply(callId, batch, key, skip, nowMs);
    } else if (admission.answer !== undefined) {
      this.#answer(callId, admission.answer);
    } else {
      this.#openCalls.get(key)?.callIds.push(callId);
    }
  }

  answered(
    to: number,
    head: Pick<Batch, "lane" | "stream" | "sequence">,
    answer: BatchAnswer,
    nowMs: number,
  ): void {
    if (answer.type === "refused") this.#parts.counters.countPeerRefusal(answer.refusal);
    this.lane(head.lane, to).answered(head.stream, head.sequence, answer, nowMs);
  }

  failed(
    to: number,
    { lane, stream, sequence }: Pick<Batch, "lane" | "stream" | "sequence">,
    nowMs: number,
  ): void {
    this.lane(lane, to).failed(stream, sequence, nowMs);
  }

  /** Sends every lane's next batch. */
  pump(nowMs: number): void {
    const { self: from, layout, output, counters } = this.#parts;
    for (const lane of this.#active) {
      const head = lane.next(nowMs);
      if (head !== undefined) {
        counters.peerCalls += 1;
        counters.peerItems += head.items.length;
        output.push({ type: "call", batch: { ...head, from, layout } });
      }
      if (lane.isIdle) this.#active.delete(lane);
    }
  }

  tick(nowMs: number): void {
    for (const lane of this.#active) lane.tick(nowMs);
  }

  get timerDueAtMs(): number {
    let dueAtMs = Infinity;
    for (const lane of this.#active) dueAtMs = Math.min(dueAtMs, lane.timerDueAtMs);
    return dueAtMs;
  }

  /** When an alarm is to look after the outboxes; undefined when all are empty. */
  alarmDueAtMs(nowMs: number): number | undefined {
    let dueAtMs: number | undefined;
    for (const lane of this.#active) {
      const laneDueAtMs = lane.alarmDueAtMs(nowMs);
      if (laneDueAtMs !== undefined) dueAtMs = Math.min(dueAtMs ?? Infinity, laneDueAtMs);
    }
    return dueAtMs;
  }

  #refusalOf({ from, to, layout, items }: Batch): BatchRefusal | undefined {
    const { self, layout: ours } = this.#parts;
    const isSameLayout =
      layout.epoch === ours.epoch &&
      layout.shards === ours.shards &&
      layout.topicKeyLevels === ours.topicKeyLevels;
    if (!isSameLayout) return "layout";
    const isShard = Number.isInteger(from) && from >= 0 && from < ours.shards;
    if (!isShard || from === self || to !== self) return "address";
    return items.length > batchItemsMax ? "size" : undefined;
  }

  #refuse(callId: number, answer: BatchAnswer & { readonly type: "refused" }): void {
    this.#parts.counters.countPeerRefusal(answer.refusal);
    this.#parts.output.push({ type: "answer", callId, answer });
  }

  #answer(callId: number, answer: BatchAnswer): void {
    this.#parts.output.pushWhenSafe({ type: "answer", callId, answer }, this.#parts.mustCommit());
  }

  #apply(callId: number, batch: Batch, key: string, skip: ReadonlySet<number>, nowMs: number): void {
    const call: OpenCall = { callIds: [callId], stream: batch.stream, sequence: batch.sequence };
    this.#openCalls.set(key, call);
    const outcomes: Outcome[] = [];
    let left = batch.items.length;
    const settle = (index: number, outcome: Outcome): void => {
      outcomes[index] = outcome;
      left -= 1;
      if (left === 0) this.#close(key, call, { type: "applied", outcomes });
    };
    for (const [index, item] of batch.items.entries()) {
      this.#itemInHand = index;
      if (skip.has(index)) settle(index, poisoned);
      else this.#handle(batch.lane, item, batch.from, (outcome) => settle(index, outcome), nowMs);
    }
    this.#itemInHand = undefined;
    if (batch.items.length === 0) this.#close(key, call, { type: "applied", outcomes });
  }

  #handle(lane: LaneName, item: Batch["items"][number], from: number, settle: Settle, nowMs: number): void {
    const { handlers } = this.#parts;
    if (lane === "publish") handlers.handlePublishItem(item as PublishItem, from, settle, nowMs);
    else settle(handlers.handleDeliverItem(item as DeliverItem, from, nowMs));
  }

  #close(key: string, call: OpenCall, answer: BatchAnswer): void {
    if (this.#openCalls.get(key) === call) this.#openCalls.delete(key);
    this.#inlet(key).noteAnswer(call, answer);
    for (const callId of call.callIds) this.#answer(callId, answer);
  }

  #inlet(key: string): Inlet {
    let inlet = this.#inlets.get(key);
    if (inlet === undefined) this.#inlets.set(key, (inlet = new Inlet()));
    return inlet;
  }

  #newLane(name: LaneName, to: number, number: number): Lane {
    const { counters, handlers, limits, self } = this.#parts;
    return new Lane({
      name,
      from: self,
      to,
      life: this.#life,
      outbox: this.#outbox(number),
      counters,
      memory: limits.lane,
      patienceMs: name === "publish" ? Times.publishPatienceMs : Times.deliverPatienceMs,
      backoff: this.#backoff,
      onOutcome: (item, outcome, from, settle, isKept) =>
        handlers.handleOutcome(item, outcome, from, settle, isKept),
    });
  }

  #outbox(number: number): Outbox {
    let outbox = this.#outboxes.get(number);
    if (outbox === undefined) {
      outbox = new Outbox(number, this.#parts.log, this.#parts.limits.queue);
      if (this.#isRestoring) outbox.beginRestoring();
      this.#outboxes.set(number, outbox);
    }
    return outbox;
  }

  #watermark(number: number): Watermark {
    let watermark = this.#watermarks.get(number);
    if (watermark === undefined) {
      watermark = new Watermark(number, this.#parts.log);
      this.#watermarks.set(number, watermark);
    }
    return watermark;
  }
}

/** Sessions have the positive numbers in the message log; these have the negative ones. */
const watermarkBase = -4 * shardsMax;

function laneNumber(name: LaneName, to: number): number {
  return -(2 * to + (name === "publish" ? 1 : 2));
}

function laneNameOf(number: number): LaneName {
  return -number % 2 === 1 ? "publish" : "deliver";
}

function peerOf(number: number): number {
  return Math.floor((-number - 1) / 2);
}

function watermarkNumber({ shard, isVolatile }: Origin, owner: number): number {
  return watermarkBase - (2 * (shard * shardsMax + owner) + (isVolatile ? 1 : 0));
}
