/** What clients that are not admitted make a shard hold. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Identity } from "../../src/core/access/identity.ts";
import type { AuthenticationStep } from "../../src/core/authentication.ts";
import { parkedBytesMax, parkedBytesOfShardMax } from "../../src/core/connection/parked-input.ts";
import type { ClientPacket, ConnectPacket } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import type { HarnessOptions, Peer } from "./harness.ts";
import { Harness } from "./harness.ts";
import { SimulatedClient } from "./simulated-client.ts";

const { QuotaExceeded, ServerBusy, Success } = ReasonCode;
const method = "METHOD";
const large = new Uint8Array(60 * 1024);

const identity: Identity = { method: "hook", roles: [], claims: {}, rules: [] };
const success: AuthenticationStep = { type: "success", identity };
const proceed: AuthenticationStep = { type: "continue", data: new Uint8Array(1) };
const failure: AuthenticationStep = {
  type: "failure",
  reasonCode: ReasonCode.BadUserNameOrPassword,
  reasonString: "No",
};

/** A shard whose host answers when the test wants it to. */
function setUp(options: HarnessOptions = {}): Harness {
  const shard = new Harness({
    shards: 1,
    authenticates: true,
    authenticationMethods: [method],
    authenticate: () => failure,
    ...options,
  });
  shard.questions = [];
  return shard;
}

function usedBytesOf(shard: Harness): number {
  return shard.shards[0]?.core.parking.usedBytes ?? NaN;
}

function connectPacket(changes: Partial<ConnectPacket> = {}): ConnectPacket {
  return {
    type: "connect",
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSec: 0,
    clientId: "c",
    sessionExpiryIntervalSec: 0,
    ...changes,
  };
}

/** Clients with large passwords, and then with small ones, until a further one finds no room. */
function fill(shard: Harness): SimulatedClient[] {
  const clients: SimulatedClient[] = [];
  for (const password of [large, large.subarray(0, 2048), large.subarray(0, 1)]) {
    for (let isFull = false; !isFull;) {
      const client = SimulatedClient.connected(shard, { password });
      isFull = !client.isConnected;
      if (!isFull) clients.push(client);
    }
  }
  return clients;
}

describe("a shard that holds as much as it may for clients that are not admitted", () => {
  test.each([3, 4, 5] as const)(
    "refuses a CONNECT of version %i whose client has to wait: 0x89",
    (protocolVersion) => {
      const shard = setUp();
      const clients = fill(shard);
      // Each is held for the connection, and for the host that is asked.
      expect(clients.length).toBeGreaterThan(parkedBytesOfShardMax / (2 * 64 * 1024));
      expect(usedBytesOf(shard)).toBeLessThanOrEqual(parkedBytesOfShardMax);
      const asked = shard.questions?.length;
      const refused = shard.counters.refusals.get(ServerBusy) ?? 0;
      const client = SimulatedClient.connected(shard, { protocolVersion, password: large });
      expect(client.connack).toMatchObject({
        reasonCode: ServerBusy,
        reasonString: "Too much is held for clients that are not admitted yet",
      });
      expect(client.closed?.code).toBe(1008);
      expect(shard.questions).toHaveLength(asked ?? -1);
      expect(shard.counters.refusals.get(ServerBusy)).toBe(refused + 1);
      shard.answer(success);
      expect(SimulatedClient.connected(shard, { protocolVersion, password: large }).isConnected).toBe(true);
    },
  );

  test("refuses one with an Authentication Method, too", () => {
    const shard = setUp();
    fill(shard);
    const client = SimulatedClient.connected(shard, {
      authenticationMethod: method,
      authenticationData: large,
    });
    expect(client.connack.reasonCode).toBe(ServerBusy);
  });

  test("ends a connection whose AUTH the host would have to look at", () => {
    const shard = setUp();
    const client = SimulatedClient.connected(shard, { authenticationMethod: method });
    shard.answer(proceed);
    fill(shard);
    client.send({
      type: "auth",
      reasonCode: ReasonCode.ContinueAuthentication,
      authenticationMethod: method,
      authenticationData: large,
    });
    expect(client.connack.reasonCode).toBe(ServerBusy);
  });

  test("ends a connection that sends more before it is admitted", () => {
    const shard = setUp();
    const client = SimulatedClient.connected(shard, { password: new Uint8Array(1) });
    fill(shard);
    for (let count = 0; count < 2 && client.isConnected; count += 1)
      client.publish("a", "x".repeat(60_000 / 2));
    expect(client.connack.reasonCode).toBe(ServerBusy);
  });

  test("closes a socket whose CONNECT is not complete", () => {
    const shard = setUp();
    fill(shard);
    const client = new SimulatedClient(shard).open();
    shard.receive(client.connectionId, [], { unfinishedBytes: 64 * 1024 });
    expect(client.closed).toEqual({
      code: 1008,
      reason: "Too much is held for clients that are not admitted yet",
    });
    expect(client.inbox).toEqual([]);
  });

  test("lets those in whose identity needs no answer, and does not mind what they send", () => {
    const shard = setUp({ allowsAnonymous: true });
    fill(shard);
    const client = SimulatedClient.connected(shard);
    expect(client.connack.reasonCode).toBe(Success);
    shard.receive(client.connectionId, [], { unfinishedBytes: 256 * 1024 });
    expect(client.isConnected).toBe(true);
  });
});

describe("a packet that is not complete", () => {
  test("is counted as long as it is kept, and no longer", () => {
    const shard = setUp();
    const client = new SimulatedClient(shard).open();
    const sizes = [1024, 2048, 4096].map((unfinishedBytes) => {
      shard.receive(client.connectionId, [], { unfinishedBytes });
      return usedBytesOf(shard);
    });
    expect(sizes).toEqual([1024, 2048, 4096]);
    client.connect();
    expect(client.isConnected).toBe(true);
    expect(usedBytesOf(shard)).toBe(0);
  });

  test("is not counted of a client that is admitted while it is on its way", () => {
    const shard = setUp();
    const { connectionId } = SimulatedClient.connected(shard, { password: new Uint8Array(1) });
    shard.receive(connectionId, [], { unfinishedBytes: 256 * 1024 });
    expect(usedBytesOf(shard)).toBeGreaterThan(256 * 1024);
    shard.answer(success);
    expect(usedBytesOf(shard)).toBe(0);
  });
});

describe("what the host was asked", () => {
  test("is held until it answers, also when the client has left: clients that come and go do not pile it up", () => {
    const shard = setUp();
    let comeAndGone = 0;
    for (; comeAndGone < 1000; comeAndGone += 1) {
      const client = SimulatedClient.connected(shard, { password: large });
      if (!client.isConnected) break;
      client.lose();
    }
    expect(comeAndGone).toBeLessThan(parkedBytesOfShardMax / large.length);
    while (shard.questions?.length !== 0) shard.answer();
    expect(usedBytesOf(shard)).toBe(0);
  });
});

type Step =
  | { readonly type: "open" | "lose" | "stall" | "ping" | "ban" | "wait" | "reset" }
  | { readonly type: "connect"; readonly by: "password" | "method" | "nothing"; readonly sizeBytes: number }
  | { readonly type: "begin" | "publish" | "auth"; readonly sizeBytes: number }
  | { readonly type: "answer"; readonly step: AuthenticationStep; readonly index: number };

const sizeBytes = fc.oneof(fc.nat(2000), fc.integer({ min: 20_000, max: parkedBytesMax }));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constantFrom("open", "lose", "stall", "ping", "wait") }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom("ban", "reset") }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant("connect"),
      by: fc.constantFrom("password", "method", "nothing"),
      sizeBytes,
    }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constantFrom("begin", "publish", "auth"), sizeBytes }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("answer"),
      step: fc.constantFrom(success, failure, proceed),
      index: fc.nat(7),
    }),
  },
);

/** Clients that do anything at any time, on a shard that is nearly full, or is not. */
class World {
  readonly shard = setUp({ allowsAnonymous: true });
  readonly #connectionIds: string[] = [];
  readonly #slots: (string | undefined)[] = [];

  constructor(isNearlyFull: boolean) {
    if (isNearlyFull) for (const { connectionId } of fill(this.shard)) this.#connectionIds.push(connectionId);
  }

  do(slot: number, taken: Step): void {
    const connectionId = this.#slots[slot] ?? this.#open(slot);
    const receive = (packet: ClientPacket): void => this.shard.receive(connectionId, [packet]);
    switch (taken.type) {
      case "open":
        this.#open(slot);
        return;
      case "lose":
        return this.shard.lose(connectionId);
      case "stall":
        return this.shard.tell({ type: "stalled", connectionId });
      case "ping":
        return receive({ type: "pingreq" });
      case "ban":
        return this.shard.setPolicy({ bans: [{ by: "client", value: `client-${slot}` }] });
      case "wait":
        return this.shard.advance(5_000);
      case "reset":
        return this.shard.reset();
      case "begin":
        return this.shard.receive(connectionId, [], { unfinishedBytes: taken.sizeBytes });
      case "publish":
        return receive({
          type: "publish",
          message: { topicName: "a", payload: new Uint8Array(taken.sizeBytes), qos: 0, retain: false },
          dup: false,
        });
      case "auth":
        return receive({
          type: "auth",
          reasonCode: ReasonCode.ContinueAuthentication,
          authenticationMethod: method,
          authenticationData: new Uint8Array(taken.sizeBytes),
        });
      case "connect":
        return receive(this.#connectOf(slot, taken));
      case "answer":
        return this.#answer(taken.step, taken.index);
    }
  }

  /** All have left, and all that was asked is answered. */
  end(): void {
    for (const connectionId of this.#connectionIds) this.shard.lose(connectionId);
    while (this.shard.questions?.length !== 0) this.shard.answer();
    this.shard.advance(10_000);
  }

  #open(slot: number): string {
    const peer: Peer = { onReceived: () => {}, onClosed: () => {} };
    const connectionId = this.shard.open(peer);
    this.#connectionIds.push(connectionId);
    this.#slots[slot] = connectionId;
    return connectionId;
  }

  #connectOf(slot: number, { by, sizeBytes: length }: Step & { type: "connect" }): ConnectPacket {
    const bytes = new Uint8Array(length);
    return connectPacket({
      clientId: `client-${slot}`,
      ...(by === "password" && { password: bytes }),
      ...(by === "method" && { authenticationMethod: method, authenticationData: bytes }),
    });
  }

  /** The host answers in any order. */
  #answer(answer: AuthenticationStep, index: number): void {
    const { questions = [] } = this.shard;
    if (questions.length === 0) return;
    questions.push(...questions.splice(0, index % questions.length));
    this.shard.answer(answer);
  }
}

describe("whatever clients and the host do", () => {
  test("no more is held than may be, and nothing is left when all have left", () => {
    const steps = fc.array(fc.tuple(fc.nat(3), step), { maxLength: 60 });
    fc.assert(
      fc.property(fc.boolean(), steps, (isNearlyFull, taken) => {
        const world = new World(isNearlyFull);
        for (const [slot, one] of taken) {
          world.do(slot, one);
          const usedBytes = usedBytesOf(world.shard);
          expect(usedBytes).toBeGreaterThanOrEqual(0);
          expect(usedBytes).toBeLessThanOrEqual(parkedBytesOfShardMax);
        }
        world.end();
        expect(usedBytesOf(world.shard)).toBe(0);
        expect(world.shard.openConnectionIds).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});

test("a client that sends more than 64 KiB is told 0x97, however much room there is", () => {
  const shard = setUp();
  const client = SimulatedClient.connected(shard, { password: new Uint8Array(1) });
  for (let count = 0; count < 3 && client.isConnected; count += 1) client.publish("a", "x".repeat(30_000));
  expect(client.connack.reasonCode).toBe(QuotaExceeded);
});
