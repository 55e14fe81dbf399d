import type { LazyDatabase } from "../storage/lazy-database.ts";
import type { SqlDatabase } from "../storage/sql-database.ts";

/** What has changed, by names; "all": so much that not all of the names are known any more. */
export type Subjects = readonly string[] | "all";

/** A shard that is to be told, and of what. */
export interface Telling {
  readonly shard: number;
  readonly subjects: Subjects;
}

export interface Round {
  /** Of the newest change that is told of. */
  readonly number: number;
  readonly tellings: readonly Telling[];
}

interface News {
  /** Grows with every change. */
  readonly number: number;
  /** What the changes were about, each with its last change, the oldest first. */
  readonly subjects: readonly (readonly [number: number, subject: string])[];
  /** Subjects up to this change may be missing. */
  readonly droppedUpTo: number;
  /** Up to which change a shard has heard, of those that have not heard of all. */
  readonly heardUpTo: Readonly<Record<number, number>>;
  /** Shards that were told since the last pause, in vain. */
  readonly tried: readonly number[];
  /** Pauses since the last change. */
  readonly pauses: number;
}

/** Of one object. Their names have 256 bytes at most, so the row has a quarter of a megabyte at most. */
export const subjectsMax = 1_000;

const noNews: News = { number: 0, subjects: [], droppedUpTo: 0, heardUpTo: {}, tried: [], pauses: 0 };

/**
 * What has changed in an object of the registry, and the shards that have not heard of it. All of it is in one row, which
 * does not grow without end: a subject stands there once, and too many become "all".
 */
export class ShardNews {
  readonly #database: LazyDatabase;
  /** As many as the settings have. */
  readonly #shards: number;

  constructor(database: LazyDatabase, shards: number) {
    this.#database = database;
    this.#shards = shards;
  }

  get number(): number {
    return this.#read().number;
  }

  /** Shards that have not heard of every change. */
  get pendingCount(): number {
    return this.#pendingOf(this.#read()).length;
  }

  /** Pauses since the last change. */
  get pauses(): number {
    return this.#read().pauses;
  }

  /** To be called in the transaction of the change, so that both are kept or none. */
  add(database: Pick<SqlDatabase, "run">, subject: string): void {
    const news = this.#read();
    const number = news.number + 1;
    const subjects = news.subjects.filter(([, other]) => other !== subject).concat([[number, subject]]);
    const dropped = subjects.splice(0, subjects.length - subjectsMax);
    const heardUpTo = Array.from(
      { length: this.#shards },
      (_, shard) => news.heardUpTo[shard] ?? news.number,
    );
    const droppedUpTo = dropped.at(-1)?.[0] ?? news.droppedUpTo;
    write(database, { number, subjects, droppedUpTo, heardUpTo: { ...heardUpTo }, tried: [], pauses: 0 });
  }

  /**
   * The next of those who have not heard, and were not told since the last pause. Who has missed most comes first, or in a
   * stream of changes the same shards would be told of each, and others of none.
   */
  nextRound(tellingsMax: number): Round {
    const news = this.#read();
    const heardUpTo = (shard: number): number => news.heardUpTo[shard] ?? 0;
    const waiting = this.#pendingOf(news).filter((shard) => !news.tried.includes(shard));
    const tellings = waiting
      .toSorted((left, right) => heardUpTo(left) - heardUpTo(right))
      .slice(0, tellingsMax)
      .map((shard) => ({ shard, subjects: subjectsAfter(news, heardUpTo(shard)) }));
    return { number: news.number, tellings };
  }

  /** Notes what has come of a round: whether there is to be a pause, for everybody who has not heard was told. */
  note(round: Round, heardBy: ReadonlySet<number>): boolean {
    const news = this.#read();
    const told = new Set(round.tellings.map(({ shard }) => shard));
    const heardUpTo: Record<number, number> = {};
    for (const shard of this.#pendingOf(news)) {
      const upTo = heardBy.has(shard) ? round.number : (news.heardUpTo[shard] ?? 0);
      if (upTo < news.number) heardUpTo[shard] = upTo;
    }
    const pending = Object.keys(heardUpTo).map(Number);
    // A change meanwhile has everybody told once more.
    const isCurrent = round.number === news.number;
    const tried = pending.filter((shard) => news.tried.includes(shard) || (isCurrent && told.has(shard)));
    const isPause = pending.length > 0 && tried.length === pending.length;
    const allHeardUpTo = Math.min(...Object.values(heardUpTo), news.number);
    this.#database.write((database) =>
      write(database, {
        ...news,
        subjects: news.subjects.filter(([number]) => number > allHeardUpTo),
        heardUpTo,
        tried: isPause ? [] : tried,
        pauses: news.pauses + (isPause ? 1 : 0),
      }),
    );
    return isPause;
  }

  #pendingOf({ heardUpTo }: News): number[] {
    return Object.keys(heardUpTo)
      .map(Number)
      .filter((shard) => shard < this.#shards);
  }

  #read(): News {
    const row = this.#database.first("SELECT * FROM news");
    if (row === undefined) return noNews;
    return {
      number: Number(row["number"]),
      subjects: JSON.parse(row["subjects"] as string),
      droppedUpTo: Number(row["dropped_up_to"]),
      heardUpTo: JSON.parse(row["heard_up_to"] as string),
      tried: JSON.parse(row["tried"] as string),
      pauses: Number(row["pauses"]),
    };
  }
}

function subjectsAfter({ subjects, droppedUpTo }: News, heardUpTo: number): Subjects {
  if (heardUpTo < droppedUpTo) return "all";
  return subjects.flatMap(([number, subject]) => (number > heardUpTo ? [subject] : []));
}

function write(database: Pick<SqlDatabase, "run">, news: News): void {
  database.run(
    "INSERT OR REPLACE INTO news VALUES (1, ?, ?, ?, ?, ?, ?)",
    news.number,
    JSON.stringify(news.subjects),
    news.droppedUpTo,
    JSON.stringify(news.heardUpTo),
    JSON.stringify(news.tried),
    news.pauses,
  );
}
