import { DEADLINE_MS } from "./wait.ts";

interface Waiter<T> {
  readonly accepts: (item: T) => boolean;
  readonly resolve: (item: T) => void;
  readonly reject: (error: Error) => void;
}

/** Things that arrived and were not taken yet, in order, with waiting takers. */
export class Inbox<T> {
  readonly #items: T[] = [];
  readonly #waiters = new Set<Waiter<T>>();
  #end: Error | undefined;

  get items(): readonly T[] {
    return this.#items;
  }

  push(item: T): void {
    for (const waiter of this.#waiters) {
      if (!waiter.accepts(item)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(item);
      return;
    }
    this.#items.push(item);
  }

  /** Nothing more will arrive: whoever waits is told why. */
  end(reason: Error): void {
    this.#end = reason;
    for (const waiter of this.#waiters) waiter.reject(reason);
    this.#waiters.clear();
  }

  /** Takes the first item that `accepts` likes, waiting for it if need be. */
  take(what: string, accepts: (item: T) => boolean = () => true, deadlineMs = DEADLINE_MS): Promise<T> {
    const index = this.#items.findIndex(accepts);
    if (index >= 0) return Promise.resolve(this.#items.splice(index, 1)[0] as T);
    if (this.#end) return Promise.reject(new Error(`no ${what}: ${this.#end.message}`));
    return this.#wait(what, accepts, deadlineMs);
  }

  #wait(what: string, accepts: (item: T) => boolean, deadlineMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        reject(new Error(`waited ${deadlineMs} ms in vain for ${what}; untaken: ${this.#describe()}`));
      }, deadlineMs);
      const waiter: Waiter<T> = {
        accepts,
        resolve: (item) => {
          clearTimeout(timer);
          resolve(item);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(new Error(`no ${what}: ${error.message}; untaken: ${this.#describe()}`));
        },
      };
      this.#waiters.add(waiter);
    });
  }

  #describe(): string {
    return JSON.stringify(this.#items.slice(0, 20));
  }
}
