import type { ShardStorage } from "../src/core/storage-port.ts";

/** An exception that was planned. */
export class PlannedFailure extends Error {}

/** Storage of which a read fails when it is to. */
export class FlakyStorage {
  readonly storage: ShardStorage;
  failsNext = false;

  constructor(storage: ShardStorage) {
    this.storage = new Proxy(storage, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        if (String(name).startsWith("read")) this.#failIfPlanned();
        return value.bind(target) as unknown;
      },
    });
  }

  #failIfPlanned(): void {
    if (!this.failsNext) return;
    this.failsNext = false;
    throw new PlannedFailure("a read fails");
  }
}
