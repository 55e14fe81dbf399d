/** When two shards hold a session, as `src/shard/peer-links.ts` has it. */

/** Calls in one second above which a session is opened, and the silence that ends it. */
export const callsPerSecMax = 20;
const silenceSec = 2;

/**
 * The part of the time that a session is held by a pair with calls that come by themselves at that rate: now and then
 * a second brings enough to open it, and now and then a silence ends it.
 */
export function expectedHeldShare(callsPerSec: number): number {
  if (callsPerSec === 0) return 0;
  const opens = probabilityAbove(callsPerSecMax, callsPerSec);
  const ends = callsPerSec * Math.exp(-callsPerSec * silenceSec);
  return opens / (opens + ends);
}

/** Calls a second at which a pair holds a session half of the time. */
export function rateHeldByHalf(): number {
  let [low, high] = [0, callsPerSecMax];
  for (let step = 0; step < 50; step += 1) {
    const middle = (low + high) / 2;
    if (expectedHeldShare(middle) < 0.5) low = middle;
    else high = middle;
  }
  return high;
}

/** That a Poisson distribution gives more than that. */
function probabilityAbove(count: number, mean: number): number {
  let term = Math.exp(-mean);
  let sum = 0;
  for (let index = 1; index <= count; index += 1) term *= mean / index;
  for (let index = count + 1; term > 0 && index < count + 1000; index += 1) {
    term *= mean / index;
    sum += term;
  }
  return Math.min(1, sum);
}
