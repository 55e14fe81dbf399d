/** A place in an {@link AckQueue}. */
export interface AckPlace {
  /** Sends the acknowledgement; undefined while what it says is not known. */
  send: (() => void) | undefined;
  /** It is a PUBACK. */
  readonly isPuback: boolean;
}

/**
 * Acknowledgements that wait for other shards. They leave in the order in which their places were taken
 * ([MQTT-4.6.0-2], [MQTT-4.6.0-3]), and hold up nothing else.
 */
export class AckQueue {
  readonly #places: AckPlace[] = [];

  get isEmpty(): boolean {
    return this.#places.length === 0;
  }

  get pubackCount(): number {
    let count = 0;
    for (const { isPuback } of this.#places) if (isPuback) count += 1;
    return count;
  }

  reserve(isPuback: boolean): AckPlace {
    const place: AckPlace = { send: undefined, isPuback };
    this.#places.push(place);
    return place;
  }

  /** What the acknowledgement says is known now. */
  settle(place: AckPlace, send: () => void): void {
    place.send = send;
    for (let [first] = this.#places; first?.send !== undefined; [first] = this.#places) {
      this.#places.shift();
      first.send();
    }
  }
}
