import type { QueuedMessage } from "./segment.ts";

/** The head is cut off when it is at least so long, and half of all. */
const cutLengthMin = 64;

/** Messages in the order of their ordinals; taken at the front without moving the others each time. */
export class MessageQueue {
  #messages: QueuedMessage[] = [];
  #head = 0;

  get length(): number {
    return this.#messages.length - this.#head;
  }

  get first(): QueuedMessage | undefined {
    return this.#messages[this.#head];
  }

  [Symbol.iterator](): Iterator<QueuedMessage> {
    return this.#messages.slice(this.#head).values();
  }

  push(message: QueuedMessage): void {
    this.#messages.push(message);
  }

  shift(): void {
    this.#head += 1;
    if (this.#head >= cutLengthMin && this.#head * 2 >= this.#messages.length) {
      this.replace(this.#messages.slice(this.#head));
    }
  }

  replace(messages: QueuedMessage[]): void {
    this.#messages = messages;
    this.#head = 0;
  }

  /** Ordinals are mostly consecutive: then this looks once, else it searches. */
  find(ordinal: number): QueuedMessage | undefined {
    if (this.first === undefined) return undefined;
    const guess = this.#messages[this.#head + ordinal - this.first.target.ordinal];
    if (guess?.target.ordinal === ordinal) return guess;
    return this.#messages.find((message, index) => index >= this.#head && message.target.ordinal === ordinal);
  }
}
