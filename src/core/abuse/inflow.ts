import type { AbuseLimits } from "./abuse-limits.ts";
import { RateBucket } from "./rate-bucket.ts";

/** How fast one connection may talk. In memory only: when a shard has slept, its clients had been quiet. */
export class Inflow {
  readonly #messages: RateBucket | undefined;
  readonly #bytes: RateBucket | undefined;

  constructor({ messagesPerSecMax, messagesBurstMax, bytesPerSecMax, bytesBurstMax }: AbuseLimits) {
    if (messagesPerSecMax > 0) this.#messages = new RateBucket(messagesPerSecMax, messagesBurstMax);
    if (bytesPerSecMax > 0) this.#bytes = new RateBucket(bytesPerSecMax, bytesBurstMax);
  }

  takeMessage(nowMs: number): boolean {
    return this.#messages?.take(1, nowMs) ?? true;
  }

  takeBytes(sizeBytes: number, nowMs: number): boolean {
    return this.#bytes?.take(sizeBytes, nowMs) ?? true;
  }
}
