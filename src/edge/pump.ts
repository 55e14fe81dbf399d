import type { Close } from "./close.ts";
import { JoinedBytes } from "./joined-bytes.ts";
import type { Frame, RelaySocket } from "./relay-socket.ts";

/** What may wait towards one side before a further frame is too much. */
const waitingBytesMax = 1024 * 1024;

/** Frames are joined up to this: a receiver need not take larger ones than it would have been sent. */
const joinedBytesMax = 64 * 1024;

/**
 * Brings the frames of one end of a relay to the other, which may not be there yet. A frame that comes alone goes at
 * once; those that follow before the turn is over go as one. Only a timer tells when that is, in workerd after 1 ms:
 * the runtime empties the queue of microtasks, and delivers what a MessageChannel was given, after every single frame.
 */
export class Pump {
  readonly #afterTurn: (work: () => void) => void;
  readonly #waiting = new JoinedBytes();
  #destination: RelaySocket | undefined;
  #text: string | undefined;
  #closing: Close | undefined;
  #isEnded = false;
  #isTurnOpen = false;

  /** `afterTurn` does the work when everything has been dispatched that is there by now. */
  constructor(afterTurn: (work: () => void) => void) {
    this.#afterTurn = afterTurn;
  }

  open(destination: RelaySocket): void {
    this.#destination = destination;
    if (this.#closing === undefined) this.#flush();
    else this.#closeDestination(destination, this.#closing);
  }

  /** Takes a frame, or returns false: too much waits already. */
  push(frame: Frame): boolean {
    if (this.#isEnded) return true;
    if (this.#waitingBytes() > waitingBytesMax) return false;
    if (typeof frame === "string") this.#endWith(frame);
    else this.#join(new Uint8Array(frame));
    return true;
  }

  /** Hands on the close, after everything that came before it. Never throws; only the first call counts. */
  close(close: Close): void {
    if (this.#closing !== undefined) return;
    this.#closing = close;
    this.#isEnded = true;
    if (this.#destination !== undefined) this.#closeDestination(this.#destination, close);
  }

  /**
   * Where the runtime does not tell what a peer has not taken, only what is held here is bounded: by the opening of
   * the destination, and by {@link joinedBytesMax}.
   */
  #waitingBytes(): number {
    return this.#waiting.sizeBytes + (this.#destination?.bufferedAmount ?? 0);
  }

  /** A text frame is the last to be handed on: the shard closes the connection at it. */
  #endWith(text: string): void {
    this.#isEnded = true;
    this.#text = text;
    this.#flush();
  }

  #join(bytes: Uint8Array): void {
    if (this.#waiting.sizeBytes + bytes.length > joinedBytesMax) this.#flush();
    this.#waiting.append(bytes);
    if (this.#isTurnOpen || this.#destination === undefined) return;
    this.#flush();
    this.#openTurn();
  }

  #openTurn(): void {
    this.#isTurnOpen = true;
    this.#afterTurn(() => {
      this.#isTurnOpen = false;
      if (this.#waiting.sizeBytes === 0) return;
      this.#flush();
      this.#openTurn();
    });
  }

  #flush(): void {
    if (this.#destination === undefined) return;
    if (this.#waiting.sizeBytes > 0) this.#destination.send(this.#waiting.take());
    if (this.#text !== undefined) this.#destination.send(this.#text);
    this.#text = undefined;
  }

  #closeDestination(destination: RelaySocket, { code, reason }: Close): void {
    try {
      this.#flush();
      destination.close(code, reason);
    } catch (error) {
      console.error("duramq: a relayed socket could not be closed in order", error);
      closeAnyhow(destination);
    }
  }
}

/** A socket that cannot be closed is closed already. */
function closeAnyhow(socket: RelaySocket): void {
  try {
    socket.close(1011, "");
  } catch {
    return;
  }
}
