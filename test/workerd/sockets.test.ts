import { describe, expect, test } from "vitest";
import { CostMeter } from "../../src/core/cost/cost-meter.ts";
import type { AttachedClient, ConnectionAttachment } from "../../src/core/effect.ts";
import { unadmittedSocketsMax } from "../../src/core/limits.ts";
import { ClientSocket } from "../../src/shard/client-socket.ts";
import { Sockets } from "../../src/shard/sockets.ts";
import { MemoryShardStorage } from "../../src/storage/memory-shard-storage.ts";

const waiting: ConnectionAttachment = { boot: 1, openedAtMs: 0, randomClientId: "r" };
const admitted: ConnectionAttachment = { ...waiting, client: {} as AttachedClient };

/** Its attachment is not looked at. */
const webSocket = { close() {}, serializeAttachment() {} } as unknown as WebSocket;

function socketOf(connectionId: string): ClientSocket {
  return new ClientSocket(connectionId, webSocket, "resident", 1024);
}

function setUp(): Sockets {
  return new Sockets(new CostMeter(new MemoryShardStorage()));
}

/** As many that wait as there may be. */
function fill(sockets: Sockets): ClientSocket[] {
  const all: ClientSocket[] = [];
  for (let index = 0; sockets.hasRoom; index += 1) {
    const socket = socketOf(`connection-${index}`);
    sockets.add(socket);
    sockets.carryOut({ type: "attach", connectionId: socket.connectionId, attachment: waiting });
    all.push(socket);
  }
  return all;
}

describe("sockets whose client is not admitted", () => {
  test("are so many at most", () => {
    expect(fill(setUp())).toHaveLength(unadmittedSocketsMax);
  });

  test.each<[string, (sockets: Sockets, socket: ClientSocket) => void]>([
    [
      "when one is admitted",
      (sockets, { connectionId }) => sockets.carryOut({ type: "attach", connectionId, attachment: admitted }),
    ],
    ["when one leaves", (sockets, socket) => sockets.forget(socket)],
    [
      "when one is closed",
      (sockets, { connectionId }) =>
        sockets.carryOut({ type: "close", connectionId, code: 1008, reason: "Refused" }),
    ],
    ["when one is dismissed after a defect", (sockets, { connectionId }) => sockets.dismiss(connectionId)],
  ])("make room for one more %s, once", (_, leave) => {
    const sockets = setUp();
    const [first] = fill(sockets);
    leave(sockets, first as ClientSocket);
    leave(sockets, first as ClientSocket);
    expect(sockets.hasRoom).toBe(true);
    sockets.add(socketOf("another"));
    expect(sockets.hasRoom).toBe(false);
  });

  test("are not those that wake with a client", () => {
    const sockets = setUp();
    fill(sockets)
      .slice(1)
      .forEach((socket) => sockets.forget(socket));
    for (let index = 0; index < unadmittedSocketsMax; index += 1) {
      const socket = socketOf(`woken-${index}`);
      socket.attach(admitted, { life: 0, counts: [] } as never);
      sockets.wake(socket);
    }
    expect(sockets.hasRoom).toBe(true);
  });
});

describe("a socket that was closed from here", () => {
  test("keeps nothing of what still comes", () => {
    const socket = socketOf("c");
    const partOfConnect = Uint8Array.of(0x10, 0xff, 0x01, 0).buffer;
    expect(socket.decode(partOfConnect)).toEqual({ packets: [] });
    expect(socket.unfinishedBytes).toBeGreaterThan(0);
    socket.close(1008, "Refused");
    expect(socket.decode(partOfConnect)).toEqual({ packets: [] });
    expect(socket.unfinishedBytes).toBe(0);
  });
});
