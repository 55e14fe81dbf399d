import { connect, type Socket } from "node:net";

const HANDSHAKE_END = "\r\n\r\n";
const OPCODE_TEXT_OR_BINARY_MAX = 2;
const OPCODE_CLOSE = 8;

/**
 * The least WebSocket client that can load a broker: it takes ready-made frames, joins those of one turn of the
 * event loop into one write, and hands on payloads without copying. A general library would spend more CPU on
 * a message than the brokers do.
 */
export class LeanWebSocket {
  onData: (bytes: Buffer) => void = () => undefined;
  onClose: () => void = () => undefined;
  readonly #socket: Socket;
  #outgoing: Buffer[] = [];
  #flushScheduled = false;
  #pending: Buffer = Buffer.alloc(0);
  #isOpen = false;
  #onOpen: (error?: Error) => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#onChunk(chunk));
    socket.on("error", (error) => this.#onOpen(error));
    socket.on("close", () => {
      this.#onOpen(new Error("the connection closed during the handshake"));
      this.onClose();
    });
  }

  static open(url: string): Promise<LeanWebSocket> {
    const { hostname, port, pathname } = new URL(url);
    const socket = connect(Number(port), hostname);
    const webSocket = new LeanWebSocket(socket);
    socket.write(handshake(hostname, port, pathname));
    return new Promise((resolve, reject) => {
      webSocket.#onOpen = (error) => (error ? reject(error) : resolve(webSocket));
    });
  }

  /** Queues a frame for the end of this turn. */
  send(frame: Buffer): void {
    this.#outgoing.push(frame);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => this.#flush());
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #flush(): void {
    this.#flushScheduled = false;
    const frames = this.#outgoing;
    this.#outgoing = [];
    this.#socket.write(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames));
  }

  #onChunk(chunk: Buffer): void {
    this.#pending = this.#pending.length > 0 ? Buffer.concat([this.#pending, chunk]) : chunk;
    if (!this.#isOpen && !this.#takeHandshake()) return;
    this.#takeFrames();
  }

  #takeHandshake(): boolean {
    const end = this.#pending.indexOf(HANDSHAKE_END);
    if (end < 0) return false;
    const head = this.#pending.toString("latin1", 0, end);
    this.#pending = this.#pending.subarray(end + HANDSHAKE_END.length);
    if (!head.startsWith("HTTP/1.1 101")) {
      this.#onOpen(new Error(`the upgrade was refused: ${head.split("\r\n", 1)[0]}`));
      this.destroy();
      return false;
    }
    this.#isOpen = true;
    this.#onOpen();
    return true;
  }

  #takeFrames(): void {
    const buffer = this.#pending;
    let offset = 0;
    for (;;) {
      const header = frameHeader(buffer, offset);
      if (!header || header.end > buffer.length) break;
      const { opcode, start, end } = header;
      offset = end;
      if (opcode <= OPCODE_TEXT_OR_BINARY_MAX) this.onData(buffer.subarray(start, end));
      else if (opcode === OPCODE_CLOSE) this.destroy();
    }
    this.#pending = offset === buffer.length ? Buffer.alloc(0) : buffer.subarray(offset);
  }
}

interface FrameHeader {
  readonly opcode: number;
  readonly start: number;
  readonly end: number;
}

/** A server's frames are not masked. Undefined while the header is not complete. */
function frameHeader(buffer: Buffer, offset: number): FrameHeader | undefined {
  if (buffer.length < offset + 2) return undefined;
  const opcode = (buffer[offset] as number) & 0x0f;
  const short = (buffer[offset + 1] as number) & 0x7f;
  if (short < 126) return { opcode, start: offset + 2, end: offset + 2 + short };
  const start = offset + (short === 126 ? 4 : 10);
  if (buffer.length < start) return undefined;
  const length = short === 126 ? buffer.readUInt16BE(offset + 2) : Number(buffer.readBigUInt64BE(offset + 2));
  return { opcode, start, end: start + length };
}

function handshake(host: string, port: string, path: string): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: ZHVyYW1xLWJlbmNobWFyaw==",
    "Sec-WebSocket-Protocol: mqtt",
    HANDSHAKE_END.slice(2),
  ].join("\r\n");
}
