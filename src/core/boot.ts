import type { Layout } from "./placement.ts";
import type { ShardRecord } from "./storage-port.ts";

/**
 * Numbers the lives of the object. A session's row names the boot that its connection was attached under; rows of
 * an older boot belong to connections that a reset cut. The number is written when the first row needs it: an
 * object that only strangers wake writes nothing.
 */
export class Boot {
  readonly #layout: Layout;
  #stored: ShardRecord | undefined;
  #number = 1;
  #changed = false;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  get number(): number {
    return this.#number;
  }

  get hasUnwritten(): boolean {
    return this.#changed;
  }

  /** Sessions attached under this boot or an older one have lost their connection. */
  get lostThrough(): number {
    return this.#number - 1;
  }

  /** There may be rows of cut connections that nobody has looked after. */
  get isUnsettled(): boolean {
    return (
      this.#stored !== undefined && this.#stored.settledBoot < Math.min(this.#stored.boot, this.lostThrough)
    );
  }

  /** `surviving`: the boot of sockets that are still there, whose life this goes on with. */
  start(stored: ShardRecord | undefined, surviving: number | undefined): void {
    // Data that came before layouts were recorded.
    this.#stored = stored && { layout: firstLayout, ...stored };
    this.#number = surviving ?? (stored?.boot ?? 0) + 1;
  }

  /** The layout that the shard's data belong to, when it is not the present one. */
  get foreignLayout(): Layout | undefined {
    const layout = this.#stored?.layout;
    if (layout === undefined) return undefined;
    const { epoch, shards, topicKeyLevels } = this.#layout;
    const isOurs =
      layout.epoch === epoch && layout.shards === shards && layout.topicKeyLevels === topicKeyLevels;
    return isOurs ? undefined : layout;
  }

  /** The number, for a row that is about to be written. */
  claim(): number {
    if (this.#stored?.boot !== this.#number) {
      this.#set({ ...this.#stored, boot: this.#number, settledBoot: this.#stored?.settledBoot ?? 0 });
    }
    return this.#number;
  }

  /** The next block of numbers that no other life of the object has: written before any of them is used. */
  claimNumberBlock(): number {
    const stored = this.#stored ?? { boot: 0, settledBoot: 0 };
    const numberBlocks = (stored.numberBlocks ?? 0) + 1;
    this.#set({ ...stored, numberBlocks });
    return numberBlocks;
  }

  /** All rows of older boots have been looked after. */
  settle(): void {
    if (this.#stored === undefined || !this.isUnsettled) return;
    this.#set({ ...this.#stored, settledBoot: Math.min(this.#stored.boot, this.lostThrough) });
  }

  /** The row to write, if it changed. */
  takeUnwritten(): ShardRecord | undefined {
    // Whatever is written first, the layout is written with it.
    if (this.#stored?.layout === undefined) this.#set(this.#stored ?? { boot: 0, settledBoot: 0 });
    if (!this.#changed) return undefined;
    this.#changed = false;
    return this.#stored;
  }

  #set(record: ShardRecord): void {
    this.#stored = { ...record, layout: record.layout ?? this.#layout };
    this.#changed = true;
  }
}

const firstLayout: Layout = { epoch: 1, shards: 1, topicKeyLevels: 2 };
