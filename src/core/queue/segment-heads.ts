import type { SegmentHead, ShardStorage } from "../storage-port.ts";

/**
 * Messages whose heads a start keeps at hand, each counted once for every session that it is for. They take some hundred
 * bytes each: all of a long log would not fit.
 */
const keptTargetsMax = 50_000;

/** The heads of the log in its order, for a start, which goes through them twice. Those of a long log are read as often. */
export class SegmentHeads implements Iterable<SegmentHead> {
  readonly #storage: Pick<ShardStorage, "readSegmentHeads">;
  readonly #keptTargetsMax: number;
  #kept: readonly SegmentHead[] | undefined;
  #supersededSeqs: ReadonlySet<number> | undefined;

  constructor(storage: Pick<ShardStorage, "readSegmentHeads">, targetsMax = keptTargetsMax) {
    this.#storage = storage;
    this.#keptTargetsMax = targetsMax;
  }

  /** Sequences of segments whose survivors lie in another one. */
  get supersededSeqs(): ReadonlySet<number> {
    return (this.#supersededSeqs ??= supersededOf([...this]));
  }

  [Symbol.iterator](): Iterator<SegmentHead> {
    return (this.#kept ?? this.#read())[Symbol.iterator]();
  }

  *#read(): Iterable<SegmentHead> {
    const rows: Row[] = [];
    const heads: SegmentHead[] = [];
    let targetCount = 0;
    for (const head of this.#storage.readSegmentHeads()) {
      rows.push({ seq: head.seq, fromSeq: head.fromSeq ?? head.seq });
      for (const { targets } of head.messages) targetCount += targets.length;
      if (targetCount <= this.#keptTargetsMax) heads.push(head);
      else heads.length = 0;
      yield head;
    }
    if (targetCount <= this.#keptTargetsMax) this.#kept = heads;
    this.#supersededSeqs = supersededOf(rows);
  }
}

interface Row {
  readonly seq: number;
  readonly fromSeq?: number;
}

/** Rows come in the order of `seq`. */
function supersededOf(rows: readonly Row[]): ReadonlySet<number> {
  const superseded = new Set<number>();
  let firstSeq = Infinity;
  for (const { seq, fromSeq = seq } of rows.toReversed()) {
    if (seq >= firstSeq) superseded.add(seq);
    firstSeq = Math.min(firstSeq, fromSeq);
  }
  return superseded;
}
