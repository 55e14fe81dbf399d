/** Sockets whose clients do not take what they are sent, told by what the runtime says is unsent. */
import { describe, expect, test } from "vitest";
import type { ClientSocket } from "../../src/shard/client-socket.ts";
import { StalledSockets } from "../../src/shard/stalled-sockets.ts";

const mebibyte = 1024 * 1024;

/** As much of a socket as is looked at. */
class FakeSocket {
  unsentBytes: number;
  sentBytes: number;

  constructor(unsentBytes: number) {
    this.unsentBytes = unsentBytes;
    this.sentBytes = unsentBytes;
  }

  measureUnsent(): number {
    return this.unsentBytes;
  }

  get asSocket(): ClientSocket {
    return this as unknown as ClientSocket;
  }
}

function watched(unsentBytes: number): { stalled: StalledSockets; socket: FakeSocket } {
  const stalled = new StalledSockets();
  const socket = new FakeSocket(unsentBytes);
  stalled.note(socket.asSocket, 0);
  return { stalled, socket };
}

describe("A socket", () => {
  test("that takes everything is not watched, and holds no timer", () => {
    expect(watched(0).stalled.checkDueAtMs).toBeUndefined();
  });

  test("that takes nothing for 30 s is to be closed, once", () => {
    const { stalled, socket } = watched(100);
    expect(stalled.checkDueAtMs).toBe(5_000);
    expect(stalled.takeStalled(29_999)).toEqual([]);
    expect(stalled.takeStalled(30_000)).toEqual([socket]);
    expect(stalled.takeStalled(60_000)).toEqual([]);
    expect(stalled.checkDueAtMs).toBeUndefined();
  });

  test("that takes something gets its 30 s anew", () => {
    const { stalled, socket } = watched(100);
    socket.unsentBytes = 99;
    expect(stalled.takeStalled(25_000)).toEqual([]);
    expect(stalled.takeStalled(54_999)).toEqual([]);
    expect(stalled.takeStalled(55_000)).toEqual([socket]);
  });

  test("gets no more time because more is sent to it", () => {
    const { stalled, socket } = watched(100);
    socket.unsentBytes = 200;
    socket.sentBytes = 200;
    stalled.note(socket.asSocket, 10_000);
    expect(stalled.takeStalled(10_000)).toEqual([]);
    expect(stalled.takeStalled(30_000)).toEqual([socket]);
  });

  test("that is refilled as fast as it takes is not closed", () => {
    const { stalled, socket } = watched(100);
    for (let nowMs = 5_000; nowMs <= 60_000; nowMs += 5_000) {
      socket.sentBytes += 10;
      expect(stalled.takeStalled(nowMs)).toEqual([]);
    }
  });

  test("that has taken everything at last is not watched any more", () => {
    const { stalled, socket } = watched(100);
    socket.unsentBytes = 0;
    expect(stalled.takeStalled(5_000)).toEqual([]);
    expect(stalled.checkDueAtMs).toBeUndefined();
  });

  test("with more than 8 MiB untaken is to be closed at once", () => {
    const { stalled, socket } = watched(8 * mebibyte);
    expect(stalled.isOverflowing(socket.asSocket)).toBe(false);
    socket.unsentBytes += 1;
    expect(stalled.isOverflowing(socket.asSocket)).toBe(true);
  });
});
