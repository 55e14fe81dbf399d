/**
 * Between a client whose shard is not known before its CONNECT and that shard: the Worker holds the client's WebSocket,
 * reads the Client Identifier, and then moves frames both ways without a look at them.
 */
import { Times } from "../core/limits.ts";
import { abnormalClosure, type Close, closeForClient, closeForShard, closes } from "./close.ts";
import { ConnectReader } from "./connect-reader.ts";
import { Pump } from "./pump.ts";
import type { Frame, RelaySocket } from "./relay-socket.ts";

export interface RelayOptions {
  readonly maximumPacketSizeBytes: number;
  /** Opens a socket to the client's shard, or fails; the empty Client Identifier wants one made up. */
  openShard(clientId: string): Promise<RelaySocket>;
}

/** The shard takes no more sockets for now: nothing is wrong with it. */
export class ShardBusy extends Error {}

export class Relay {
  /** Resolves when both ends are closed: what was on its way when the client left has then arrived. */
  readonly finished: Promise<void>;
  readonly #openShard: RelayOptions["openShard"];
  readonly #toShard = new Pump((work) => this.#afterTurn(work));
  readonly #toClient = new Pump((work) => this.#afterTurn(work));
  readonly #deadline: ReturnType<typeof setTimeout>;
  /** Until it is known whose client this is. */
  #reader: ConnectReader | undefined;
  #openEnds = 1;
  #finish!: () => void;

  /** Accepts the client's socket. */
  #clientClose: Close | undefined;

  constructor(client: RelaySocket, { maximumPacketSizeBytes, openShard }: RelayOptions) {
    this.finished = new Promise((resolve) => (this.#finish = resolve));
    this.#openShard = openShard;
    this.#reader = new ConnectReader(maximumPacketSizeBytes);
    this.#deadline = setTimeout(() => this.#guarded(() => this.#giveUp()), Times.incompletePacketMs);
    this.#listen(client, {
      message: (frame) => this.#fromClient(frame),
      close: (close) => this.#clientGone(close),
    });
    this.#toClient.open(client);
  }

  #listen(socket: RelaySocket, on: { message: (frame: Frame) => void; close: (close: Close) => void }): void {
    let isOpen = true;
    const end = (close: Close): void => {
      if (!isOpen) return;
      isOpen = false;
      this.#guarded(() => on.close(close));
      this.#openEnds -= 1;
      if (this.#openEnds === 0) this.#finish();
    };
    socket.addEventListener("message", ({ data }) => this.#guarded(() => on.message(data as Frame)));
    socket.addEventListener("close", ({ code, reason }) => end({ code, reason }));
    socket.addEventListener("error", () => end({ code: abnormalClosure, reason: "" }));
    socket.binaryType = "arraybuffer";
    // Or the runtime would answer a close before what came ahead of it has been handed on.
    socket.accept({ allowHalfOpen: true });
  }

  #fromClient(frame: Frame): void {
    this.#hand(this.#toShard, frame);
    const clientId = this.#reader?.push(frame);
    if (clientId === undefined) return;
    this.#stopReading();
    this.#openEnds += 1;
    void this.#connect(clientId);
  }

  #hand(pump: Pump, frame: Frame): void {
    if (!pump.push(frame)) this.#closeBoth(closes.tooMuchWaiting);
  }

  async #connect(clientId: string): Promise<void> {
    try {
      const shard = await this.#openShard(clientId);
      this.#listen(shard, {
        message: (frame) => this.#hand(this.#toClient, frame),
        close: (close) => this.#shardGone(close),
      });
      this.#toShard.open(shard);
    } catch (error) {
      const isBusy = error instanceof ShardBusy;
      if (!isBusy) console.error("duramq: a shard could not be reached", error);
      this.#openEnds -= 1;
      this.#closeBoth(isBusy ? closes.shardBusy : closes.shardLost);
    }
  }

  /** A shard whose client has closed is not lost, whatever became of its answer. */
  #shardGone(close: Close): void {
    const isAnswerLost = this.#clientClose !== undefined && close.code === abnormalClosure;
    this.#closeBoth(isAnswerLost ? closeForShard(this.#clientClose as Close) : closeForClient(close));
  }

  /** The shard answers the close, and the client gets its answer; without a shard it gets its own. */
  #clientGone(close: Close): void {
    this.#clientClose = close;
    this.#toShard.close(closeForShard(close));
    if (this.#reader === undefined) return;
    this.#stopReading();
    this.#toClient.close(closeForShard(close));
  }

  /** As a shard does with a connection that has no CONNECT in time. */
  #giveUp(): void {
    const close = this.#reader?.isInsidePacket ? closes.unfinished : closes.noConnect;
    this.#stopReading();
    this.#closeBoth(close);
  }

  #stopReading(): void {
    this.#reader = undefined;
    clearTimeout(this.#deadline);
  }

  #closeBoth(close: Close): void {
    this.#toClient.close(close);
    this.#toShard.close(close);
  }

  #afterTurn(work: () => void): void {
    setTimeout(() => this.#guarded(work), 0);
  }

  /** A defect ends this connection and says nothing about itself to the client. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      console.error("duramq: a relayed connection failed", error);
      this.#closeBoth(closes.internalError);
    }
  }
}
