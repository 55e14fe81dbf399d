import type { Input } from "../core/input.ts";
import type { Batch, BatchAnswer, BatchRefusal } from "../core/peers/message.ts";
import { decodeAnswer, encodeAnswer, encodeBatch } from "./peer-codec.ts";

/** Sends a call to another shard of the namespace. */
export type CallPeer = (to: number, bytes: Uint8Array) => Promise<Uint8Array>;

interface Waiting {
  answer(bytes: Uint8Array): void;
  fail(): void;
}

/** Calls to other shards, and calls of theirs that wait for an answer. */
export class PeerCalls {
  readonly #callPeer: CallPeer;
  readonly #handle: (input: Input) => void;
  readonly #waiting = new Map<number, Waiting>();
  readonly #reported = new Set<string>();
  #lastCallId = 0;
  #underWayCount = 0;

  constructor(callPeer: CallPeer, handle: (input: Input) => void) {
    this.#callPeer = callPeer;
    this.#handle = handle;
  }

  /** A call of this shard or of another one is not answered. */
  get isPending(): boolean {
    return this.#underWayCount + this.#waiting.size > 0;
  }

  send(batch: Batch): void {
    const { to, lane, stream, sequence } = batch;
    const input = { type: "answered", to, head: { lane, stream, sequence } } as const;
    // One failure is as good as another: the lane sends the batch again.
    this.#underWayCount += 1;
    this.#ask(batch).then(
      (answer) => this.#answered({ ...input, answer }),
      () => this.#answered(input),
    );
  }

  /** A call has come: the promise settles with {@link answer}, or fails when the shard has forgotten the call. */
  open(): { readonly callId: number; readonly answered: Promise<Uint8Array> } {
    this.#lastCallId += 1;
    const callId = this.#lastCallId;
    const answered = new Promise<Uint8Array>((resolve, reject) => {
      this.#waiting.set(callId, { answer: resolve, fail: () => reject(new Error("The call was lost")) });
    });
    return { callId, answered };
  }

  answer(callId: number, answer: BatchAnswer): void {
    if (answer.type === "refused") this.#report("A call of another shard was refused", answer.refusal);
    this.#waiting.get(callId)?.answer(encodeAnswer(answer));
    this.#waiting.delete(callId);
  }

  /** The shard has lost its memory: who called will call again. `except` is being handled anew. */
  failAll(except?: number): void {
    for (const [callId, waiting] of this.#waiting) {
      if (callId === except) continue;
      this.#waiting.delete(callId);
      waiting.fail();
    }
  }

  #answered(input: Input): void {
    this.#underWayCount -= 1;
    this.#handle(input);
  }

  async #ask(batch: Batch): Promise<BatchAnswer> {
    const answer = decodeAnswer(await this.#callPeer(batch.to, encodeBatch(batch)));
    if (answer.type === "refused") this.#report(`Shard ${batch.to} refused a call`, answer.refusal);
    return answer;
  }

  /** Once for each reason: what is wrong stays wrong, and a log line costs more than a call. */
  #report(what: string, refusal: BatchRefusal): void {
    // Out of step is what a lane is after a reset, and mends by itself.
    const isOrdinary = refusal === "stream" || refusal === "sequence";
    if (isOrdinary || this.#reported.has(`${what} ${refusal}`)) return;
    this.#reported.add(`${what} ${refusal}`);
    console.error(`duramq: ${what}: ${refusal}`);
  }
}
