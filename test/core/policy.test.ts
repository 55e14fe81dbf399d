import { describe, expect, test } from "vitest";
import type { Identity } from "../../src/core/access/identity.ts";
import type { Policy } from "../../src/core/access/policy.ts";
import type { Rule } from "../../src/core/access/rule.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

const { Banned, NotAuthorized, Success } = ReasonCode;
const week = 7 * 24 * 3600;

function allow(topicFilter: string, options: Partial<Rule> = {}): Rule {
  return { effect: "allow", action: "all", topicFilter, ...options };
}

function identityOf(username: string, roles: readonly string[] = []): Identity {
  return { method: "password", username, roles, claims: {}, rules: [] };
}

/** A namespace with a policy. */
function setUp(policy: Partial<Policy>): Harness {
  const shard = new Harness();
  shard.setPolicy(policy);
  return shard;
}

function connect(shard: Harness, username: string, options: ClientOptions = {}): SimulatedClient {
  return SimulatedClient.connected(shard, { identity: identityOf(username), ...options });
}

describe("a policy", () => {
  test("says what users, roles and Client Identifiers may do", () => {
    const shard = setUp({
      users: { ann: [allow("ann/#")] },
      roles: { reader: [allow("news", { action: "subscribe" })] },
      clients: { gate: [allow("gate")] },
      rules: [allow("all/${clientId}")],
    });
    const reader = SimulatedClient.connected(shard, {
      clientId: "gate",
      identity: { ...identityOf("ann", ["reader"]), clientId: "gate" },
    });
    for (const topicFilter of ["ann/#", "news", "gate", "all/gate"]) {
      expect(reader.subscribe(topicFilter).reasonCodes).toEqual([0]);
    }
    expect(reader.subscribe("all/other").reasonCodes).toEqual([NotAuthorized]);
    expect(connect(shard, "bob").subscribe("ann/a").reasonCodes).toEqual([NotAuthorized]);
  });

  test("is kept in one row, and holds after a reset before anybody tells it again", () => {
    const shard = new Harness();
    const before = shard.rowsWritten;
    shard.setPolicy({ users: { ann: [allow("a")] } });
    // Beside the policy itself, a shard that has written nothing writes its own row.
    expect(shard.rowsWritten - before).toBe(2 * shard.shards.length);
    const written = shard.rowsWritten;
    shard.setPolicy({ users: { ann: [allow("b")] } });
    expect(shard.rowsWritten - written).toBe(shard.shards.length);
    shard.reset();
    const client = connect(shard, "ann");
    expect(client.subscribe("a").reasonCodes).toEqual([NotAuthorized]);
    expect(client.subscribe("b").reasonCodes).toEqual([0]);
  });

  test("that is older than the present one, or the same, changes nothing and writes nothing", () => {
    const shard = setUp({ version: 5, users: { ann: [allow("a")] } });
    const rows = shard.rowsWritten;
    for (const version of [4, 5]) shard.setPolicy({ version, users: { ann: [] } });
    expect(shard.rowsWritten).toBe(rows);
    expect(connect(shard, "ann").subscribe("a").reasonCodes).toEqual([0]);
  });

  test("of version 0, which is none, is kept as the first one, alone in its row, and gives way to any other", () => {
    const shard = new Harness();
    const none = { version: 0 };
    const before = shard.rowsWritten;
    shard.setPolicy(none);
    expect(shard.rowsWritten - before).toBe(shard.shards.length);
    shard.reset();
    shard.setPolicy(none);
    expect(shard.rowsWritten - before).toBe(shard.shards.length);
    shard.setPolicy({ version: 1, users: { ann: [allow("a")] } });
    shard.setPolicy(none);
    expect(connect(shard, "ann").subscribe("a").reasonCodes).toEqual([0]);
  });

  test("is read once after a sleep, and not for PINGREQ", () => {
    const shard = setUp({ users: { ann: [allow("a")] } });
    const client = connect(shard, "ann");
    shard.evict();
    const read = shard.rowsRead;
    client.ping();
    expect(shard.rowsRead).toBe(read);
    client.publish("a", "1");
    const { rowsRead } = shard;
    for (let count = 0; count < 10; count += 1) client.publish("a", "1");
    expect(shard.rowsRead).toBe(rowsRead);
  });
});

describe("a change of the policy", () => {
  test.each([4, 5] as const)(
    "takes subscriptions that are no longer allowed, and the connection of version %i with them",
    (protocolVersion) => {
      const shard = setUp({ users: { ann: [allow("#")] } });
      const options = { protocolVersion, cleanStart: false, sessionExpiryIntervalSec: week };
      const client = connect(shard, "ann", options);
      client.subscribe("a", 1);
      client.subscribe("b", 1);
      shard.setPolicy({ users: { ann: [allow("a")] } });
      expect(client.closed?.code).toBe(1008);
      if (protocolVersion === 5) expect(client.last("disconnect").reasonCode).toBe(NotAuthorized);
      client.connect();
      expect(client.connack.sessionPresent).toBe(true);
      shard.setPolicy({ users: { ann: [allow("a")], bob: [allow("#")] } });
      const publisher = connect(shard, "bob");
      publisher.publish("a", "a", { qos: 1 });
      publisher.publish("b", "b", { qos: 1 });
      expect(client.payloads).toEqual(["a"]);
    },
  );

  test("leaves alone who may go on, and is what it publishes by", () => {
    const shard = setUp({ users: { ann: [allow("a"), allow("b")] } });
    const client = connect(shard, "ann");
    client.subscribe("a");
    shard.setPolicy({ users: { ann: [allow("a")] } });
    expect(client.isConnected).toBe(true);
    client.publish("b", "", { qos: 1 });
    expect(client.only("puback").reasonCode).toBe(NotAuthorized);
    shard.setPolicy({ users: { ann: [allow("a"), allow("b")] } });
    client.publish("b", "", { qos: 1 });
    expect(client.last("puback").reasonCode).toBe(ReasonCode.NoMatchingSubscribers);
  });

  test("reaches clients of a shard that slept", () => {
    const shard = setUp({ users: { ann: [allow("a")] } });
    const client = connect(shard, "ann");
    client.subscribe("a");
    shard.evict();
    shard.setPolicy({});
    expect(client.last("disconnect").reasonCode).toBe(NotAuthorized);
    expect(shard.sessionCount).toBe(0);
  });

  test("lowers the QoS of a subscription, and lets the client hear of it", () => {
    const shard = setUp({ users: { ann: [allow("a")] } });
    const client = connect(shard, "ann", { sessionExpiryIntervalSec: week, cleanStart: false });
    client.subscribe("a", 2);
    shard.setPolicy({ users: { ann: [allow("a", { qosMax: 1 })] } });
    expect(client.isConnected).toBe(false);
    expect(shard.sessionRecord(client.clientId)?.subscriptions).toMatchObject([{ maximumQos: 1 }]);
    client.connect();
    expect(client.isConnected).toBe(true);
  });

  test("takes a Will that is no longer allowed: it does not go out", () => {
    const shard = setUp({ users: { ann: [allow("#")] } });
    const listener = connect(shard, "bob", { identity: { ...identityOf("bob"), rules: [allow("#")] } });
    listener.subscribe("#");
    const client = connect(shard, "ann", { will: willMessage("will"), sessionExpiryIntervalSec: week });
    shard.setPolicy({ users: { ann: [allow("a")] } });
    expect(client.last("disconnect").reasonCode).toBe(NotAuthorized);
    expect(listener.payloads).toEqual([]);
    expect(shard.sessionRecord(client.clientId)).not.toHaveProperty("will");
  });

  test("binds anonymous clients, too", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    client.subscribe("#");
    shard.setPolicy({ roles: { anonymous: [allow("open/#")] } });
    expect(client.last("disconnect").reasonCode).toBe(NotAuthorized);
    const next = SimulatedClient.connected(shard);
    expect(next.subscribe("open/a").reasonCodes).toEqual([0]);
  });

  test("while nobody is connected takes what sessions may not have, and they go on with the rest", () => {
    const shard = setUp({ users: { ann: [allow("#")] } });
    const client = connect(shard, "ann", { sessionExpiryIntervalSec: week, cleanStart: false });
    client.subscribe("a", 1);
    client.subscribe("b", 2);
    client.subscribe("$SYS/#");
    client.disconnect();
    shard.setPolicy({ users: { ann: [allow("b", { qosMax: 0 })] } });
    client.connect();
    expect(client.connack.sessionPresent).toBe(true);
    expect(client.isConnected).toBe(true);
    const { subscriptions } = shard.sessionRecord(client.clientId) ?? {};
    expect(subscriptions).toMatchObject([{ topicFilter: "b", maximumQos: 0 }, { topicFilter: "$SYS/#" }]);
  });

  test("does not judge those whose credentials are being verified before they are known", () => {
    const shard = new Harness({ authenticates: true });
    shard.questions = [];
    const client = SimulatedClient.connected(shard, { userName: "ann" });
    client.send({
      type: "subscribe",
      packetIdentifier: 1,
      requests: [
        { topicFilter: "a", maximumQos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      ],
    });
    shard.setPolicy({ users: { ann: [allow("b")] } });
    expect(client.inbox).toEqual([]);
    shard.answer({ type: "success", identity: identityOf("ann") });
    expect(client.connack.reasonCode).toBe(Success);
    expect(client.last("suback").reasonCodes).toEqual([NotAuthorized]);
  });
});

describe("a change of users", () => {
  test.each([
    ["ends the connections of those, also of clients that sleep", ["ann", "nobody"], ["ann"]],
    ["that are not named one by one ends the connections of all who have a name", "all", ["ann", "bob"]],
    ["that nobody connects as ends none", ["cid"], []],
  ] as const)("%s", (_, usernames, ended) => {
    const shard = new Harness();
    const clients = new Map(["ann", "bob"].map((username) => [username, connect(shard, username)]));
    const stranger = SimulatedClient.connected(shard);
    shard.evict();
    shard.revoke(usernames);
    for (const [username, client] of clients) {
      const isEnded = (ended as readonly string[]).includes(username);
      expect([username, client.isConnected]).toEqual([username, !isEnded]);
      if (isEnded)
        expect(client.take()).toMatchObject([{}, { type: "disconnect", reasonCode: NotAuthorized }]);
    }
    stranger.ping();
  });
});

describe("a ban", () => {
  const all = { rules: [allow("#")] };

  test.each([4, 5] as const)(
    "refuses CONNECT of version %i by identifier, user name or address",
    (protocolVersion) => {
      const shard = setUp({
        ...all,
        bans: [
          { by: "client", value: "robot" },
          { by: "username", value: "bob" },
          { by: "address", value: "192.0.2.1" },
        ],
      });
      const found = [
        connect(shard, "ann", { protocolVersion, clientId: "robot" }),
        connect(shard, "bob", { protocolVersion }),
        connect(shard, "ann", { protocolVersion, address: "192.0.2.1" }),
        connect(shard, "ann", { protocolVersion, address: "192.0.2.2" }),
      ].map(({ connack }) => connack.reasonCode);
      expect(found).toEqual([Banned, Banned, Banned, Success]);
    },
  );

  test("refuses before anybody is asked, and users as soon as they are known", () => {
    const shard = new Harness({ authenticates: true });
    shard.setPolicy({
      bans: [
        { by: "client", value: "robot" },
        { by: "username", value: "bob" },
      ],
    });
    shard.questions = [];
    const robot = SimulatedClient.connected(shard, { clientId: "robot", userName: "ann" });
    expect(robot.connack.reasonCode).toBe(Banned);
    expect(shard.questions).toEqual([]);
    // A name that is only claimed is nobody's.
    const claimed = SimulatedClient.connected(shard, { userName: "bob" });
    expect(claimed.isConnected).toBe(true);
    shard.answer({ type: "success", identity: identityOf("bob") });
    expect(claimed.connack.reasonCode).toBe(Banned);
  });

  test.each([4, 5] as const)("ends connections of version %i that are there", (protocolVersion) => {
    const shard = setUp(all);
    const banned = [
      connect(shard, "ann", { protocolVersion, clientId: "robot" }),
      connect(shard, "bob", { protocolVersion }),
      connect(shard, "ann", { protocolVersion, address: "192.0.2.1" }),
    ];
    const other = connect(shard, "ann", { protocolVersion });
    shard.evict();
    shard.setPolicy({
      ...all,
      bans: [
        { by: "client", value: "robot" },
        { by: "username", value: "bob" },
        { by: "address", value: "192.0.2.1" },
      ],
    });
    for (const client of banned) {
      expect(client.closed).toMatchObject({ code: 1008, reason: "Banned" });
      // DISCONNECT has no code for it.
      if (protocolVersion === 5) expect(client.last("disconnect").reasonCode).toBe(NotAuthorized);
    }
    expect(other.isConnected).toBe(true);
  });

  test("ends by its time", () => {
    const shard = new Harness();
    shard.setPolicy({ ...all, bans: [{ by: "username", value: "bob", untilMs: shard.nowMs + 1000 }] });
    expect(connect(shard, "bob").connack.reasonCode).toBe(Banned);
    shard.advance(1000);
    expect(connect(shard, "bob").connack.reasonCode).toBe(Success);
  });
});
