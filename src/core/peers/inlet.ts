import type { Batch, BatchAnswer, BatchRefusal } from "./message.ts";

/** What is to be done with a batch that has come. */
export type Admission =
  | { readonly type: "apply" }
  /** It has come before: the answer, or undefined if the first one has none yet. */
  | { readonly type: "repeat"; readonly answer: BatchAnswer | undefined }
  | { readonly type: "refuse"; readonly refusal: BatchRefusal; readonly stream?: number };

/** The receiving end of a lane. It remembers the last batch, so that one that is sent again is not applied again. */
export class Inlet {
  #stream = 0;
  #sequence = 0;
  #answer: BatchAnswer | undefined;

  /** Streams and sequences only go forward; what is older, or leaves something out, changes nothing. */
  admit({ stream, sequence }: Pick<Batch, "stream" | "sequence">): Admission {
    if (stream < this.#stream) return { type: "refuse", refusal: "stream", stream: this.#stream };
    if (stream === this.#stream && sequence === this.#sequence) {
      return { type: "repeat", answer: this.#answer };
    }
    // After a sleep the receiver does not know where the stream had come to.
    const isExpected =
      stream > this.#stream ? this.#stream === 0 || sequence === 1 : sequence === this.#sequence + 1;
    if (!isExpected) return { type: "refuse", refusal: "sequence", stream: this.#stream };
    this.#stream = stream;
    this.#sequence = sequence;
    this.#answer = undefined;
    return { type: "apply" };
  }

  /** What the last batch is answered with, now and when it comes again. */
  noteAnswer({ stream, sequence }: Pick<Batch, "stream" | "sequence">, answer: BatchAnswer): void {
    if (stream === this.#stream && sequence === this.#sequence) this.#answer = answer;
  }
}
