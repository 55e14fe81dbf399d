import { once } from "node:events";
import { WebSocket } from "ws";

const megabyte = 1_000_000;

/** What `Runtime.getHeapUsage` answers, in bytes. */
interface HeapUsage {
  readonly usedSize: number;
  readonly embedderHeapUsedSize?: number;
  readonly backingStorageSize?: number;
}

/** A debugger of the isolate that runs the broker, to read its heap. */
export class Inspector {
  readonly #socket: WebSocket;
  readonly #waiters = new Map<
    number,
    { resolve: (result: unknown) => void; reject: (error: Error) => void }
  >();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => this.#onAnswer(data));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("The inspected process has gone")));
  }

  static async connect(port: number, service: string): Promise<Inspector> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/${service}`);
    await once(socket, "open");
    return new Inspector(socket);
  }

  /**
   * What is still in use after a full collection: objects, what the runtime holds for them, and buffers; in MB.
   * `visit` gives the isolate something to do, for it collects between two events only.
   */
  async liveHeapMb(visit: () => Promise<void>): Promise<number> {
    const collected = this.#call("HeapProfiler.collectGarbage").then(() => "collected" as const);
    while ((await Promise.race([collected, visit()])) !== "collected");
    const usage = (await this.#call("Runtime.getHeapUsage")) as HeapUsage;
    const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = usage;
    return (usedSize + embedderHeapUsedSize + backingStorageSize) / megabyte;
  }

  close(): void {
    this.#socket.terminate();
  }

  #call(method: string): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    this.#socket.send(JSON.stringify({ id, method }));
    return new Promise((resolve, reject) => this.#waiters.set(id, { resolve, reject }));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiters.values()) reject(error);
    this.#waiters.clear();
  }

  #onAnswer(data: Buffer): void {
    const { id, result, error } = JSON.parse(data.toString()) as {
      id?: number;
      result?: unknown;
      error?: { message: string };
    };
    const waiter = id === undefined ? undefined : this.#waiters.get(id);
    if (id === undefined || waiter === undefined) return;
    this.#waiters.delete(id);
    if (error === undefined) waiter.resolve(result);
    else waiter.reject(new Error(error.message));
  }
}
