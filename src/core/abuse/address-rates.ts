import { RateBucket } from "./rate-bucket.ts";
import { RecentMap } from "./recent-map.ts";

/** Addresses that are remembered; to push one out takes as many others. */
export const addressesMax = 10_000;

/** The same rate for each address. */
export class AddressRates {
  readonly #perMinMax: number;
  readonly #buckets = new RecentMap<RateBucket>(addressesMax);

  constructor(perMinMax: number) {
    this.#perMinMax = perMinMax;
  }

  /** Whether there may be one more from there now. */
  take(addressKey: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(addressKey) ?? minuteBucket(this.#perMinMax);
    this.#buckets.set(addressKey, bucket);
    return bucket.take(1, nowMs);
  }
}

/** A whole minute's worth may come at once. */
export function minuteBucket(perMinMax: number): RateBucket {
  return new RateBucket(perMinMax / 60, perMinMax);
}
