/** When a shard holds sessions with those it calls, as `src/shard/peer-links.ts` has it. */

/** Calls in one second, to all others together, above which sessions are held. */
export const callsPerSecMax = 20;
/** That many seconds longer, which are as many chances. */
export const lullSec = 2;

/** The part of the calls that are made in sessions, by a shard whose calls come by themselves at that rate. */
export function expectedHeldShare(callsPerSec: number): number {
  return 1 - (1 - probabilityAbove(callsPerSecMax, callsPerSec)) ** lullSec;
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
