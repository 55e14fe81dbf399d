import { generate, type IConnectPacket } from "mqtt-packet";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Relay, ShardBusy } from "../../src/edge/relay.ts";
import { FakeSocket } from "./fake-socket.ts";

const MIB = 1024 * 1024;

let client: FakeSocket;
let shard: FakeSocket;
/** The Client Identifiers for which a shard was asked. */
let asked: string[];
let answer: (shard: FakeSocket | Error) => void;
let isFinished: boolean;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  client = new FakeSocket();
  shard = new FakeSocket();
  asked = [];
  isFinished = false;
  const { finished } = new Relay(client, {
    maximumPacketSizeBytes: 1024,
    openShard: (clientId) => {
      asked.push(clientId);
      return new Promise((resolve, reject) => {
        answer = (found) => (found instanceof Error ? reject(found) : resolve(found));
      });
    },
  });
  void finished.then(() => (isFinished = true));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function connectBytes(clientId: string, changes: Partial<IConnectPacket> = {}): Buffer {
  const version = changes.protocolVersion ?? 5;
  const packet = { cmd: "connect", protocolVersion: version, clientId, clean: true, keepalive: 60 } as const;
  return generate({ ...packet, ...changes }, { protocolVersion: version });
}

function hex(...parts: readonly Uint8Array[]): string {
  return Buffer.concat(parts).toString("hex");
}

/** Everything that was dispatched has had its effect. */
async function turn(): Promise<void> {
  await vi.advanceTimersByTimeAsync(1);
}

/** CONNECT has come, and the shard has been found. */
async function opened(): Promise<void> {
  client.receive(connectBytes("c"));
  answer(shard);
  await turn();
  expect(shard.sent).toEqual([hex(connectBytes("c"))]);
  shard.sent.length = 0;
}

describe("The beginning of a relayed connection", () => {
  test("asks for bytes, and keeps both ends half open", async () => {
    await opened();
    for (const socket of [client, shard]) {
      expect(socket).toMatchObject({ binaryType: "arraybuffer", halfOpen: true });
    }
  });

  test.each([1, 2, 5, 1000])("finds the Client Identifier in frames of %i bytes", async (frameBytes) => {
    const bytes = connectBytes("sensor-1");
    for (let offset = 0; offset < bytes.length; offset += frameBytes) {
      expect(asked).toEqual([]);
      client.receive(bytes.subarray(offset, offset + frameBytes));
    }
    expect(asked).toEqual(["sensor-1"]);
    answer(shard);
    await turn();
    expect(shard.sent).toEqual([hex(bytes)]);
  });

  test("brings the shard everything that came so far, and asks once", async () => {
    const [first, second] = [Buffer.from([0xc0, 0x00]), Buffer.from([0xc0, 0x00, 0xc0])];
    client.receive(Buffer.concat([connectBytes("c"), first]));
    client.receive(second);
    answer(shard);
    await turn();
    expect(asked).toEqual(["c"]);
    expect(shard.sent).toEqual([hex(connectBytes("c"), first, second)]);
  });

  test("goes to any shard when the client has no identifier", () => {
    client.receive(connectBytes(""));
    expect(asked).toEqual([""]);
  });

  test.each([
    ["no CONNECT", Buffer.from([0xc0, 0x00])],
    ["a packet that is too large", Buffer.from([0x10, 0xff, 0xff, 0x7f])],
    ["a protocol that nobody knows", Buffer.from("100c00044d51545409020000000100", "hex")],
    ["no MQTT", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["text", "hello"],
  ])("hands a shard what it refuses: %s", async (_name, data) => {
    client.receive(data);
    client.receive("never mind");
    expect(asked).toEqual([""]);
    answer(shard);
    await turn();
    expect(shard.sent[0]).toBe(typeof data === "string" ? `text ${data}` : hex(data));
  });

  test("hands a shard a text frame after the bytes before it", async () => {
    const part = connectBytes("c").subarray(0, 5);
    client.receive(part);
    client.receive("hello");
    client.receive(Buffer.from([1]));
    answer(shard);
    await turn();
    expect(shard.sent).toEqual([hex(part), "text hello"]);
  });

  test.each([
    ["nothing", Buffer.from([]), "There was no CONNECT"],
    ["a part of it", Buffer.from([0x10, 0x20]), "A packet was not completed"],
  ])("is given up after 10 s with %s of CONNECT", async (_name, data, reason) => {
    client.receive(data);
    await vi.advanceTimersByTimeAsync(9_999);
    expect(client.sent).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(client.sent).toEqual([`close 1002 ${reason}`]);
    client.receive(connectBytes("c"));
    client.receiveClose(1002);
    await turn();
    expect(asked).toEqual([]);
    expect(isFinished).toBe(true);
  });

  test("has no deadline once CONNECT is whole", async () => {
    await opened();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.sent).toEqual([]);
  });

  test.each([
    [1000, "close 1000 why"],
    [1005, "close 1000"],
    [3000, "close 3000 why"],
  ])("may end with the client's close, %i, which is answered: %s", async (code, answered) => {
    client.receive(connectBytes("c").subarray(0, 5));
    client.receiveClose(code, "why");
    await turn();
    expect(client.sent).toEqual([answered]);
    expect(asked).toEqual([]);
    expect(isFinished).toBe(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.sent).toHaveLength(1);
  });

  test("ends with 1012 when the shard cannot be reached, and says no more", async () => {
    client.receive(connectBytes("c"));
    answer(new Error("secret"));
    await turn();
    expect(client.sent).toEqual(["close 1012 The shard was lost"]);
    client.receiveClose(1012);
    await turn();
    expect(isFinished).toBe(true);
  });

  test("ends with 1013 when the shard takes no more sockets, which is not reported as a failure", async () => {
    client.receive(connectBytes("c"));
    answer(new ShardBusy());
    await turn();
    expect(client.sent).toEqual(["close 1013 Too many clients are waiting to be admitted"]);
    expect(console.error).not.toHaveBeenCalled();
    client.receiveClose(1013);
    await turn();
    expect(isFinished).toBe(true);
  });

  test("brings a shard the CONNECT of a client that left before the shard was found, and its close", async () => {
    client.receive(connectBytes("c"));
    client.receiveClose(1006);
    expect(isFinished).toBe(false);
    answer(shard);
    await turn();
    expect(shard.sent).toEqual([hex(connectBytes("c")), "close 4006 The client was lost"]);
    shard.receiveClose(4006);
    await turn();
    expect(isFinished).toBe(true);
  });

  test("ends with 1013 when more than 1 MiB comes before the shard is found", async () => {
    client.receive(connectBytes("c"));
    client.receive(Buffer.alloc(MIB));
    expect(client.sent).toEqual([]);
    client.receive(Buffer.alloc(1));
    expect(client.sent).toEqual(["close 1013 Too much is waiting"]);
    answer(shard);
    await turn();
    expect(shard.sent.at(-1)).toBe("close 1013 Too much is waiting");
  });
});

describe("A relayed connection", () => {
  test("moves bytes both ways unaltered", async () => {
    await opened();
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    client.receive(bytes);
    shard.receive(bytes);
    expect(shard.sent).toEqual([hex(bytes)]);
    expect(client.sent).toEqual([hex(bytes)]);
  });

  test("sends the first frame of a turn at once and joins the others", async () => {
    await opened();
    for (const byte of [1, 2, 3, 4]) {
      client.receive(Buffer.from([byte]));
      shard.receive(Buffer.from([byte, byte]));
    }
    await turn();
    expect(shard.sent).toEqual(["01", "020304"]);
    expect(client.sent).toEqual(["0101", "020203030404"]);
    await turn();
    client.receive(Buffer.from([5]));
    expect(shard.sent).toEqual(["01", "020304", "05"]);
  });

  test("joins no more than 64 KiB, and cuts no frame", async () => {
    await opened();
    const sizes = [1, 40_000, 20_000, 10_000, 200_000, 5];
    for (const size of sizes) client.receive(Buffer.alloc(size));
    await turn();
    expect(shard.sent.map((bytes) => bytes.length / 2)).toEqual([1, 60_000, 10_000, 200_000, 5]);
  });

  test("hands on a text frame after the bytes before it", async () => {
    await opened();
    for (const frame of [Buffer.from([1]), Buffer.from([2]), "hello"]) client.receive(frame);
    expect(shard.sent).toEqual(["01", "02", "text hello"]);
  });

  const clientLost = "close 4006 The client was lost";
  test.each([
    [1000, "close 1000 why"],
    [1001, "close 1001 why"],
    [3999, "close 3999 why"],
    [1005, "close 1000"],
    [1006, clientLost],
    [1004, clientLost],
    [1015, clientLost],
    [999, clientLost],
    [5000, clientLost],
  ])("hands the client's close on after what came before it: %i as %s", async (code, handed) => {
    await opened();
    for (const byte of [1, 2, 3]) client.receive(Buffer.from([byte]));
    client.receiveClose(code, "why");
    expect(shard.sent).toEqual(["01", "0203", handed]);
    shard.receiveClose(1000, "answer");
    await turn();
    expect(client.sent).toEqual(["close 1000 answer"]);
    expect(isFinished).toBe(true);
  });

  const shardLost = "close 1012 The shard was lost";
  test.each([
    [1000, "close 1000 why"],
    [1002, "close 1002 why"],
    [1008, "close 1008 why"],
    [1005, "close 1000"],
    [1006, shardLost],
    [1015, shardLost],
  ])("hands the shard's close on after what came before it: %i as %s", async (code, handed) => {
    await opened();
    for (const byte of [1, 2, 3]) shard.receive(Buffer.from([byte]));
    shard.receiveClose(code, "why");
    expect(client.sent).toEqual(["01", "0203", handed]);
    client.receiveClose(1000);
    await turn();
    expect(isFinished).toBe(true);
  });

  test("sends nothing after a close", async () => {
    await opened();
    shard.receiveClose(1000);
    shard.receive(Buffer.from([1]));
    client.receive(Buffer.from([2]));
    client.receive("text");
    await turn();
    expect(client.sent).toEqual(["close 1000"]);
    expect(shard.sent).toEqual(["close 1000"]);
  });

  test("ends with 1012 when the shard's socket fails, and with 4006 when the client's does", async () => {
    await opened();
    shard.receiveError();
    expect(client.sent).toEqual(["close 1012 The shard was lost"]);
    client.receiveError();
    client.receiveClose(1006);
    await turn();
    expect(isFinished).toBe(true);
    expect(shard.sent).toEqual(["close 1012 The shard was lost"]);
  });

  test("tells the shard with 4006 that the client's socket failed", async () => {
    await opened();
    client.receiveError();
    expect(shard.sent).toEqual(["close 4006 The client was lost"]);
  });

  test.each(["client", "shard"])("ends with 1013 when more than 1 MiB waits for the %s", async (slow) => {
    await opened();
    const [from, to] = slow === "client" ? [shard, client] : [client, shard];
    to.bufferedAmount = MIB;
    from.receive(Buffer.from([1]));
    expect(to.sent).toEqual(["01"]);
    to.bufferedAmount = MIB + 1;
    from.receive(Buffer.from([2]));
    for (const socket of [client, shard]) expect(socket.sent.at(-1)).toBe("close 1013 Too much is waiting");
  });

  test("ends with 1011, and tells nobody why, when the runtime fails to send", async () => {
    await opened();
    client.failure = new Error("secret");
    expect(() => shard.receive(Buffer.from([1]))).not.toThrow();
    for (const socket of [client, shard]) expect(socket.sent).toEqual(["close 1011 Internal error"]);
  });

  test("survives a socket that cannot be closed", async () => {
    await opened();
    shard.failure = new Error("closed already");
    expect(() => client.receiveClose(1000, "why")).not.toThrow();
    expect(shard.sent).toEqual(["close 1011"]);
  });
});
