/** Work of one client that the alarm may fail at before it is left alone. */
const failuresMax = 5;

/** Client Identifiers whose due work has failed too often. */
export class Quarantine {
  readonly #failures = new Map<string, number>();
  readonly #clientIds = new Set<string>();

  get clientIds(): ReadonlySet<string> {
    return this.#clientIds;
  }

  blame(clientId: string): void {
    const count = (this.#failures.get(clientId) ?? 0) + 1;
    this.#failures.set(clientId, count);
    if (count >= failuresMax) this.#clientIds.add(clientId);
  }
}
