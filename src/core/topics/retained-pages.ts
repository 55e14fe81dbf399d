import type { Publication } from "../publication.ts";
import { sizeOf } from "../publication.ts";
import type { Retained } from "./retained.ts";

export interface RetainedPage {
  readonly publications: readonly Publication[];
  /** The last Topic Name of the page; absent when nothing comes after it. */
  readonly after?: string;
}

/** A page is full when it has this much, or {@link pageCount} messages. */
const pageBytesMax = 256 * 1024;
const pageCount = 100;
/** Replays whose Topic Names are remembered between their pages. */
const rememberedMax = 16;

/** Retained messages page by page, in the order of their Topic Names: a page says where the next one begins. */
export class RetainedPages {
  readonly #retained: Retained;
  /** By replay. What has been forgotten is looked up again. */
  readonly #names = new Map<string, readonly string[]>();

  constructor(retained: Retained) {
    this.#retained = retained;
  }

  read(replay: string, topicFilter: string, after: string | undefined, nowMs: number): RetainedPage {
    const names = (after !== undefined && this.#names.get(replay)) || this.#look(topicFilter);
    const publications: Publication[] = [];
    let sizeBytes = 0;
    let index = after === undefined ? 0 : firstAfter(names, after);
    for (; index < names.length; index += 1) {
      if (publications.length >= pageCount || sizeBytes >= pageBytesMax) break;
      const publication = this.#retained.read(names[index] as string, nowMs);
      if (publication === undefined) continue;
      publications.push(publication);
      sizeBytes += sizeOf(publication);
    }
    this.#names.delete(replay);
    if (index >= names.length) return { publications };
    this.#remember(replay, names);
    return { publications, after: names[index - 1] as string };
  }

  #look(topicFilter: string): readonly string[] {
    return this.#retained.matchingNames(topicFilter).toSorted();
  }

  #remember(replay: string, names: readonly string[]): void {
    const [oldest] = this.#names.keys();
    if (this.#names.size >= rememberedMax && oldest !== undefined) this.#names.delete(oldest);
    this.#names.set(replay, names);
  }
}

/** The index of the first name after that one; names are in order. */
function firstAfter(names: readonly string[], after: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((names[middle] as string) <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}
