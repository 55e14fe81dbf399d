import type { RelaySocket } from "../../src/edge/relay-socket.ts";

type Listener = (event: never) => void;

/** One end of a relay, whose peer is the test. */
export class FakeSocket implements RelaySocket {
  binaryType = "blob";
  bufferedAmount = 0;
  /** What was sent: bytes in hexadecimal, text as it is, and the close at last. */
  readonly sent: string[] = [];
  halfOpen: boolean | undefined;
  /** Thrown by the next call of `send` or `close`. */
  failure: Error | undefined;
  readonly #listeners = new Map<string, Listener>();

  accept({ allowHalfOpen }: { readonly allowHalfOpen: boolean }): void {
    this.halfOpen = allowHalfOpen;
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, listener);
  }

  send(data: Uint8Array | string): void {
    this.#mayFail();
    this.sent.push(typeof data === "string" ? `text ${data}` : Buffer.from(data).toString("hex"));
  }

  close(code: number, reason: string): void {
    this.#mayFail();
    this.sent.push(`close ${code} ${reason}`.trim());
  }

  /** The peer sends a frame: bytes, or a text. */
  receive(data: Uint8Array | string): void {
    const frame = typeof data === "string" ? data : Uint8Array.from(data).buffer;
    this.#dispatch("message", { data: frame });
  }

  receiveClose(code: number, reason = ""): void {
    this.#dispatch("close", { code, reason });
  }

  receiveError(): void {
    this.#dispatch("error", {});
  }

  #dispatch(type: string, event: object): void {
    this.#listeners.get(type)?.(event as never);
  }

  #mayFail(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
  }
}
