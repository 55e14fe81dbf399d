import { describe, expect, test } from "vitest";
import type { AbuseLimits } from "../../../src/core/abuse/abuse-limits.ts";
import { defaultAbuseLimits } from "../../../src/core/abuse/abuse-limits.ts";
import type { Identity } from "../../../src/core/access/identity.ts";
import { anonymousIdentity } from "../../../src/core/access/identity.ts";
import type { AuthenticationStep } from "../../../src/core/authentication.ts";
import { ReasonCode } from "../../../src/core/reason-code.ts";
import type { HarnessOptions } from "../harness.ts";
import { Harness } from "../harness.ts";
import type { ClientOptions } from "../simulated-client.ts";
import { bytesOf, SimulatedClient, textOf } from "../simulated-client.ts";

const { Banned, ConnectionRateExceeded, MessageRateTooHigh, QuotaExceeded, Success } = ReasonCode;
const versions = [3, 4, 5] as const;
const dayMs = 86_400_000;

function setUp(abuse: Partial<AbuseLimits>, options: HarnessOptions = {}): Harness {
  const limits = { ...options.limits, abuse: { ...defaultAbuseLimits, ...abuse } };
  return new Harness({ shards: 1, ...options, limits });
}

function connect(shard: Harness, options: ClientOptions = {}): SimulatedClient {
  return SimulatedClient.connected(shard, options);
}

/** The codes of the CONNACKs to so many CONNECTs, each on a socket of its own that is lost after it. */
function connackCodes(shard: Harness, count: number, options: ClientOptions): number[] {
  return Array.from({ length: count }, () => {
    const client = connect(shard, options);
    const { reasonCode } = client.connack;
    if (client.isConnected) client.lose();
    return reasonCode;
  });
}

describe("a connection that talks too fast", () => {
  test("of version 5 is told 0x96, and what came before holds", () => {
    const shard = setUp({ messagesPerSecMax: 10, messagesBurstMax: 3 });
    const listener = connect(shard);
    listener.subscribe("a");
    const client = connect(shard);
    for (const payload of ["1", "2", "3", "4"]) client.publish("a", payload);
    expect(client.last("disconnect").reasonCode).toBe(MessageRateTooHigh);
    expect(client.isConnected).toBe(false);
    expect(listener.payloads).toEqual(["1", "2", "3"]);
    expect(shard.counters.refusals.get(MessageRateTooHigh)).toBe(1);
  });

  test.each([3, 4] as const)("of version %i is closed", (protocolVersion) => {
    const shard = setUp({ messagesPerSecMax: 10, messagesBurstMax: 3 });
    const client = connect(shard, { protocolVersion });
    for (let count = 0; count < 4; count += 1) client.publish("a");
    expect(client.closed?.code).toBe(1008);
    expect(client.all("disconnect")).toEqual([]);
  });

  test.each(versions)("of version %i is one that pings all the time, too", (protocolVersion) => {
    const shard = setUp({ messagesPerSecMax: 10, messagesBurstMax: 3 });
    const client = connect(shard, { protocolVersion });
    for (let count = 0; count < 4; count += 1) client.ping();
    expect(client.all("pingresp")).toHaveLength(3);
    expect(client.isConnected).toBe(false);
  });

  test("is one that says it all in one WebSocket message, CONNECT included", () => {
    const shard = setUp({ messagesPerSecMax: 10, messagesBurstMax: 3 });
    const client = new SimulatedClient(shard).open();
    const packets = Array.from({ length: 4 }, () => client.publishPacket("a"));
    client.send(
      {
        type: "connect",
        protocolVersion: 5,
        cleanStart: true,
        keepAliveSec: 0,
        clientId: "c",
        sessionExpiryIntervalSec: 0,
      },
      ...packets,
    );
    expect(shard.counters.messagesReceived).toBe(3);
    expect(client.isConnected).toBe(false);
  });

  test("is not one that keeps to the rate", () => {
    const shard = setUp({ messagesPerSecMax: 10, messagesBurstMax: 1 });
    const client = connect(shard);
    for (let count = 0; count < 50; count += 1) {
      shard.advance(100);
      client.publish("a");
    }
    expect(client.isConnected).toBe(true);
  });

  test("is not one that only acknowledges, however much it is sent", () => {
    const shard = setUp({ messagesPerSecMax: 10, messagesBurstMax: 10 });
    const subscriber = connect(shard);
    subscriber.subscribe("a", 2);
    for (let publisher = 0; publisher < 5; publisher += 1) {
      const client = connect(shard);
      for (let count = 0; count < 5; count += 1) client.publish("a", `${publisher} ${count}`, { qos: 2 });
    }
    expect(subscriber.payloads).toHaveLength(25);
    expect(subscriber.isConnected).toBe(true);
  });

  test.each(versions)("of version %i is one that sends too many bytes", (protocolVersion) => {
    const shard = setUp({ bytesPerSecMax: 1000, bytesBurstMax: 2000 });
    const client = connect(shard, { protocolVersion });
    const send = (): void =>
      shard.receive(client.connectionId, [client.publishPacket("a")], { sizeBytes: 1000 });
    send();
    send();
    shard.advance(1000);
    send();
    expect(client.isConnected).toBe(true);
    send();
    expect(client.isConnected).toBe(false);
    expect(shard.counters.messagesReceived).toBe(3);
    expect(client.all("disconnect").map(({ reasonCode }) => reasonCode)).toEqual(
      protocolVersion === 5 ? [MessageRateTooHigh] : [],
    );
  });

  test("has its Will published, and its session kept", () => {
    const shard = setUp({ messagesPerSecMax: 10, messagesBurstMax: 2 });
    const listener = connect(shard);
    listener.subscribe("will");
    const will = { topicName: "will", payload: bytesOf("gone"), qos: 0, retain: false } as const;
    const client = connect(shard, {
      sessionExpiryIntervalSec: 3600,
      will: { ...will, willDelayIntervalSec: 0 },
    });
    for (let count = 0; count < 3; count += 1) client.ping();
    expect(listener.payloads).toEqual(["gone"]);
    client.connect({ cleanStart: false });
    expect(client.connack.sessionPresent).toBe(true);
  });

  test("is remembered as such on this connection only", () => {
    const shard = setUp({ messagesPerSecMax: 10, messagesBurstMax: 2 });
    const client = connect(shard);
    for (let count = 0; count < 3; count += 1) client.ping();
    expect(connect(shard).ping().isConnected).toBe(true);
  });
});

describe("a client that has published what it may in a day", () => {
  const limits = { messagesPerDayMax: 2 };

  test.each([
    [1, "puback"],
    [2, "pubrec"],
  ] as const)("with QoS %i gets 0x97 in %s, until UTC midnight", (qos, type) => {
    const shard = setUp(limits);
    const client = connect(shard);
    for (let count = 0; count < 3; count += 1) client.publish("a", "", { qos });
    const codes = client.all(type).map(({ reasonCode }) => reasonCode);
    expect(codes.map((code) => code === QuotaExceeded)).toEqual([false, false, true]);
    shard.advance(dayMs - (shard.nowMs % dayMs));
    client.publish("a", "", { qos });
    expect(client.last(type).reasonCode).not.toBe(QuotaExceeded);
  });

  test("has messages of QoS 0 dropped and counted", () => {
    const shard = setUp(limits);
    const client = connect(shard);
    client.subscribe("a");
    for (const payload of ["1", "2", "3"]) client.publish("a", payload);
    expect(client.payloads).toEqual(["1", "2"]);
    expect(client.isConnected).toBe(true);
    expect(shard.counters.refusals.get(QuotaExceeded)).toBe(1);
  });

  test.each([3, 4] as const)("of version %i is closed", (protocolVersion) => {
    const shard = setUp(limits);
    const client = connect(shard, { protocolVersion });
    for (let count = 0; count < 3; count += 1) client.publish("a", "", { qos: 1 });
    expect(client.isConnected).toBe(false);
    expect(client.all("puback")).toHaveLength(2);
  });

  test.each([
    ["comes back", (client: SimulatedClient) => client.lose().connect()],
    ["takes over from itself", (client: SimulatedClient) => client.open().connect()],
  ])("has no more when it %s", (_, again) => {
    const shard = setUp(limits);
    const client = connect(shard);
    client.publish("a", "", { qos: 1 });
    client.publish("a", "", { qos: 1 });
    again(client);
    client.publish("a", "", { qos: 1 });
    expect(client.last("puback").reasonCode).toBe(QuotaExceeded);
  });

  test("is not another one", () => {
    const shard = setUp(limits);
    const client = connect(shard);
    for (let count = 0; count < 3; count += 1) client.publish("a");
    const other = connect(shard);
    other.publish("a", "", { qos: 1 });
    expect(other.last("puback").reasonCode).not.toBe(QuotaExceeded);
  });

  test("is not told so about a QoS 2 message that it sends again", () => {
    const shard = setUp({ messagesPerDayMax: 1 });
    const client = connect(shard, { acks: "manual" });
    const packetIdentifier = client.publish("a", "", { qos: 2 });
    client.publish("a", "", { qos: 2, packetIdentifier, dup: true });
    expect(client.all("pubrec").filter(({ reasonCode }) => reasonCode === QuotaExceeded)).toEqual([]);
  });

  test("has no more after the shard has slept", () => {
    const shard = setUp(limits);
    const client = connect(shard);
    client.publish("a");
    shard.advance(60_000);
    shard.evict();
    client.publish("a", "", { qos: 1 });
    shard.advance(60_000);
    shard.evict();
    client.publish("a", "", { qos: 1 });
    const codes = client.all("puback").map(({ reasonCode }) => reasonCode === QuotaExceeded);
    expect(codes).toEqual([false, true]);
  });
});

describe("a namespace that has published what it may in a day", () => {
  const limits = { shardMessagesPerDayMax: 3 };

  test("lets nobody publish any more, until UTC midnight", () => {
    const shard = setUp(limits);
    const clients = [connect(shard), connect(shard)];
    const codes = [0, 1, 0, 1].map((index) => {
      const client = clients[index] as SimulatedClient;
      client.publish("a", "", { qos: 1 });
      return client.last("puback").reasonCode === QuotaExceeded;
    });
    expect(codes).toEqual([false, false, false, true]);
    shard.advance(dayMs - (shard.nowMs % dayMs));
    clients[0]?.publish("a", "", { qos: 1 });
    expect(clients[0]?.last("puback").reasonCode).not.toBe(QuotaExceeded);
  });

  test("remembers through a sleep what a client has published that left before it", () => {
    const shard = setUp(limits);
    const staying = connect(shard);
    const leaving = connect(shard);
    for (let count = 0; count < 3; count += 1) leaving.publish("a");
    leaving.lose();
    shard.advance(60_000);
    shard.evict();
    staying.publish("a", "", { qos: 1 });
    expect(staying.last("puback").reasonCode).toBe(QuotaExceeded);
  });

  test("remembers through a reset what was counted when a row was written last", () => {
    const shard = setUp(limits);
    const client = connect(shard, { sessionExpiryIntervalSec: 3600 });
    for (let count = 0; count < 3; count += 1) client.publish("a");
    client.lose();
    shard.reset();
    const other = connect(shard);
    other.publish("a", "", { qos: 1 });
    expect(other.last("puback").reasonCode).toBe(QuotaExceeded);
  });
});

describe("CONNECTs that come too often", () => {
  test.each(versions)("from one address, of version %i, get 0x9F", (protocolVersion) => {
    const shard = setUp({ connectsPerMinPerAddressMax: 2 });
    const options = { protocolVersion, address: "192.0.2.1" };
    const expected = [Success, Success, ConnectionRateExceeded];
    expect(connackCodes(shard, 3, options)).toEqual(expected);
    expect(connackCodes(shard, 1, { address: "192.0.2.2" })).toEqual([Success]);
    shard.advance(30_000);
    expect(connackCodes(shard, 2, options)).toEqual([Success, ConnectionRateExceeded]);
    expect(shard.counters.refusals.get(ConnectionRateExceeded)).toBe(2);
  });

  test("from one IPv6 network are taken for those of one client", () => {
    const shard = setUp({ connectsPerMinPerAddressMax: 1 });
    expect(connackCodes(shard, 1, { address: "2001:db8::1" })).toEqual([Success]);
    expect(connackCodes(shard, 1, { address: "2001:db8::2" })).toEqual([ConnectionRateExceeded]);
  });

  test("from everywhere get 0x9F, but those that an address has too many of do not count", () => {
    const shard = setUp({ connectsPerMinPerAddressMax: 1, shardConnectsPerMinMax: 3 });
    connackCodes(shard, 10, { address: "192.0.2.1" });
    const codes = ["192.0.2.2", "192.0.2.3", "192.0.2.4"].map(
      (address) => connackCodes(shard, 1, { address })[0],
    );
    expect(codes).toEqual([Success, Success, ConnectionRateExceeded]);
  });

  test("without an address are bounded for the shard only", () => {
    const shard = setUp({ connectsPerMinPerAddressMax: 1, shardConnectsPerMinMax: 2 });
    expect(connackCodes(shard, 3, {})).toEqual([Success, Success, ConnectionRateExceeded]);
  });
});

function userOf(username: string): Identity {
  return { method: "password", username, roles: [], claims: {}, rules: [] };
}

describe("connections beyond the namespace's", () => {
  test.each(versions)("of version %i get 0x97, but a takeover is none more", (protocolVersion) => {
    const shard = setUp({ shardConnectionsMax: 1 });
    const client = connect(shard, { clientId: "first", protocolVersion });
    expect(connect(shard, { protocolVersion }).connack.reasonCode).toBe(QuotaExceeded);
    client.open().connect();
    expect(client.connack.reasonCode).toBe(Success);
  });
});

describe("a client that connects again and again", () => {
  const flaps = { max: 2, windowSec: 60, banSec: 300 };

  test.each(versions)("with version %i is banned for a while", (protocolVersion) => {
    const shard = setUp({ flaps });
    const options = { clientId: "c", address: "192.0.2.1", protocolVersion };
    expect(connackCodes(shard, 4, options)).toEqual([Success, Success, Banned, Banned]);
    shard.advance(300_000);
    expect(connackCodes(shard, 1, options)).toEqual([Success]);
  });

  test("does not have the same name banned that comes from elsewhere", () => {
    const shard = setUp({ flaps });
    connackCodes(shard, 4, { clientId: "c", address: "192.0.2.1" });
    expect(connackCodes(shard, 1, { clientId: "c", address: "192.0.2.2" })).toEqual([Success]);
    expect(connackCodes(shard, 1, { clientId: "d", address: "192.0.2.1" })).toEqual([Success]);
  });

  test("is known by its user name rather than by its address, if it has one", () => {
    const shard = setUp({ flaps });
    const ann = { clientId: "c", identity: userOf("ann") };
    const codes = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].flatMap((address) =>
      connackCodes(shard, 1, { ...ann, address }),
    );
    expect(codes).toEqual([Success, Success, Banned]);
    expect(connackCodes(shard, 1, { ...ann })).toEqual([Banned]);
    const others = [{ identity: userOf("bob") }, { address: "192.0.2.1" }, {}];
    for (const other of others) {
      expect(connackCodes(shard, 1, { clientId: "c", ...other })).toEqual([Success]);
    }
  });

  test("is not banned when it has neither a user name nor an address: it could be anybody", () => {
    const shard = setUp({ flaps });
    expect(new Set(connackCodes(shard, 10, { clientId: "c" }))).toEqual(new Set([Success]));
  });

  test("is not confused with one whose names are the same, put together", () => {
    const shard = setUp({ flaps });
    connackCodes(shard, 4, { clientId: "b c", identity: userOf("a") });
    expect(connackCodes(shard, 1, { clientId: "c", identity: userOf("a b") })).toEqual([Success]);
  });

  test("without the credentials for it is not counted: nobody has another's identifier banned", () => {
    const shard = setUp(
      { flaps },
      {
        authenticates: true,
        allowsAnonymous: false,
        authenticate: (request) =>
          request.type === "password" && textOf(request.password ?? bytesOf("")) === "right"
            ? { type: "success", identity: userOf("ann") }
            : { type: "failure", reasonCode: ReasonCode.NotAuthorized, reasonString: "No" },
      },
    );
    const options = { clientId: "c", userName: "ann", address: "192.0.2.1" };
    connackCodes(shard, 10, { ...options, password: bytesOf("wrong") });
    connackCodes(shard, 10, { clientId: "c", identity: { ...userOf("ann"), clientId: "other" } });
    expect(connackCodes(shard, 3, { ...options, password: bytesOf("right") })).toEqual([
      Success,
      Success,
      Banned,
    ]);
  });

  test("slowly enough is not banned", () => {
    const shard = setUp({ flaps });
    for (let count = 0; count < 10; count += 1) {
      expect(connackCodes(shard, 1, { clientId: "c", address: "192.0.2.1" })).toEqual([Success]);
      shard.advance(60_000);
    }
  });
});

describe("wrong credentials from one address", () => {
  const failedLogins = { max: 2, windowSec: 60, banSec: 120 };
  const wrong = { userName: "ann", password: bytesOf("wrong"), address: "192.0.2.1" };
  const right = { ...wrong, password: bytesOf("right") };
  let askedCount = 0;
  const failures = { wrong: ReasonCode.BadUserNameOrPassword, broken: ReasonCode.ServerUnavailable };

  function setUpLogins(): Harness {
    askedCount = 0;
    const authenticate: HarnessOptions["authenticate"] = (request): AuthenticationStep => {
      askedCount += 1;
      const password = request.type === "password" ? textOf(request.password ?? bytesOf("")) : "";
      if (password === "right")
        return { type: "success", identity: { method: "password", roles: [], claims: {}, rules: [] } };
      const reasonCode = failures[password as keyof typeof failures];
      return { type: "failure", reasonCode, reasonString: "No" };
    };
    return setUp({ failedLogins }, { authenticates: true, allowsAnonymous: false, authenticate });
  }

  test.each(versions)("make it wait, with version %i, before anybody is asked", (protocolVersion) => {
    const shard = setUpLogins();
    const refusedCode = protocolVersion === 5 ? ReasonCode.BadUserNameOrPassword : expect.any(Number);
    const codes = connackCodes(shard, 3, { ...wrong, protocolVersion });
    expect(codes).toEqual([refusedCode, refusedCode, refusedCode]);
    expect(connackCodes(shard, 1, { ...right, protocolVersion })).toEqual([ConnectionRateExceeded]);
    expect(askedCount).toBe(3);
    expect(connackCodes(shard, 1, { ...right, address: "192.0.2.2" })).toEqual([Success]);
    shard.advance(120_000);
    expect(connackCodes(shard, 1, right)).toEqual([Success]);
  });

  test("are those that nobody took, too, where the client gets in without any", () => {
    const guessing: AuthenticationStep = {
      type: "success",
      identity: anonymousIdentity,
      isFailedLogin: true,
    };
    const shard = setUp({ failedLogins }, { authenticates: true, authenticate: () => guessing });
    const { address } = wrong;
    expect(connackCodes(shard, 4, wrong)).toEqual([Success, Success, Success, ConnectionRateExceeded]);
    expect(connackCodes(shard, 1, { address })).toEqual([ConnectionRateExceeded]);
    expect(connackCodes(shard, 1, { address: "192.0.2.2" })).toEqual([Success]);
  });

  test("are not those that could not be checked", () => {
    const shard = setUpLogins();
    connackCodes(shard, 5, { ...wrong, password: bytesOf("broken") });
    expect(connackCodes(shard, 1, right)).toEqual([Success]);
  });
});

describe("limits", () => {
  const generous: Partial<AbuseLimits> = {
    messagesPerSecMax: 1000,
    bytesPerSecMax: 1_000_000,
    messagesPerDayMax: 1000,
    shardMessagesPerDayMax: 1000,
    connectsPerMinPerAddressMax: 1000,
    shardConnectsPerMinMax: 1000,
    shardConnectionsMax: 1000,
    flaps: { max: 1000, windowSec: 60, banSec: 60 },
  };

  /** Clients come, publish and go, by different shards. */
  function costsWith(abuse: Partial<AbuseLimits>) {
    const shard = setUp(abuse, { shards: 4 });
    for (const clientId of ["a", "b", "a", "b"]) {
      const client = connect(shard, { clientId, address: "192.0.2.1", sessionExpiryIntervalSec: 3600 });
      client.subscribe("t", 1);
      for (const qos of [0, 1, 2] as const) client.publish("t", "", { qos });
      client.lose();
    }
    const { callCount, rowsRead, rowsWritten } = shard;
    return { callCount, rowsRead, rowsWritten };
  }

  test("cost no row and no call", () => {
    expect(costsWith(generous)).toEqual(costsWith({}));
  });

  test("cost none when they are reached, either", () => {
    const shard = setUp({ connectsPerMinPerAddressMax: 1, messagesPerDayMax: 1 });
    const client = connect(shard, { address: "192.0.2.1", sessionExpiryIntervalSec: 3600 });
    const { rowsWritten } = shard;
    client.publish("t", "", { qos: 1 });
    client.publish("t", "", { qos: 1 });
    const codes = connackCodes(shard, 3, { address: "192.0.2.1" });
    expect([client.last("puback").reasonCode, ...new Set(codes)]).toEqual([
      QuotaExceeded,
      ConnectionRateExceeded,
    ]);
    expect(shard.rowsWritten).toBe(rowsWritten);
  });
});
