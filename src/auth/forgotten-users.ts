import type { Usernames } from "../core/access/identity.ts";

/** Those that are known by name; of the others it is enough to know when the last of them was forgotten. */
const namesMax = 1_000;

/** Which users were forgotten, and after what, told by a count that grows each time. */
export class ForgottenUsers {
  #count = 0;
  /** Nobody without a name among {@link #countByName} was forgotten later. */
  #othersCount = 0;
  /** The latest is the last. */
  readonly #countByName = new Map<string, number>();

  /** The present. */
  get count(): number {
    return this.#count;
  }

  note(usernames: Usernames): void {
    this.#count += 1;
    if (usernames === "all") {
      this.#othersCount = this.#count;
      this.#countByName.clear();
      return;
    }
    for (const username of usernames) {
      this.#countByName.delete(username);
      this.#countByName.set(username, this.#count);
    }
    for (const [username, count] of this.#countByName) {
      if (this.#countByName.size <= namesMax) return;
      this.#countByName.delete(username);
      this.#othersCount = count;
    }
  }

  /** Whether the user was forgotten after that count; true also for some of whom that is not known any more. */
  hasSince(username: string, count: number): boolean {
    return (this.#countByName.get(username) ?? this.#othersCount) > count;
  }
}
