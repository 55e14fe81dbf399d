import type { RetainedBlock } from "./retained-block.ts";

/** A block with so much in it takes no more. It is also about what a flush of few messages writes again. */
export const filledBytes = 8 * 1024;
/** No block is larger, but for one message that is. */
export const blockBytesMax = 64 * 1024;
/** Superseded messages may take this much more than the others. */
const deadBytesSlack = 256 * 1024;

/** A flush that supersedes so much may replace one more row. */
const supersededBytesARow = 16 * 1024;

interface Flush {
  /** Of all that is to be written. */
  readonly sizeBytes: number;
  /** Of what it supersedes. */
  readonly supersededBytes: number;
}

/**
 * The blocks whose slots a flush takes: what is live in them is written again. One at most, so that a flush of one
 * message is one row; none when a new slot is better. The emptiest, which fills up; but while superseded messages take
 * too much, the one with most of them, and more such when the flush itself supersedes much.
 */
export function blocksToReplace(blocks: Iterable<RetainedBlock>, flush: Flush): RetainedBlock[] {
  let excessBytes = -deadBytesSlack;
  let emptiest: RetainedBlock | undefined;
  for (const block of blocks) {
    excessBytes += block.deadBytes - block.liveBytes;
    if (emptiest === undefined || block.liveBytes < emptiest.liveBytes) emptiest = block;
  }
  if (excessBytes > 0) return deadest([...blocks], flush, excessBytes);
  const isTaken = emptiest !== undefined && emptiest.liveBytes <= filledBytes && fits(emptiest, flush);
  return isTaken ? [emptiest as RetainedBlock] : [];
}

function deadest(blocks: RetainedBlock[], flush: Flush, excessBytes: number): RetainedBlock[] {
  blocks.sort((left, right) => right.deadBytes - left.deadBytes);
  const first = blocks.find((block) => fits(block, flush));
  const chosen = first === undefined ? [] : [first];
  let leftBytes = excessBytes - (first?.deadBytes ?? 0);
  for (const block of blocks) {
    if (leftBytes <= 0 || chosen.length * supersededBytesARow > flush.supersededBytes) break;
    if (block === first) continue;
    chosen.push(block);
    leftBytes -= block.deadBytes;
  }
  return chosen;
}

/** What is live in the block shares one row with the flush. */
function fits({ liveBytes }: RetainedBlock, { sizeBytes }: Flush): boolean {
  return liveBytes === 0 || liveBytes + sizeBytes <= blockBytesMax;
}
