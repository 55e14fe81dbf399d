import { describe, expect, test } from "vitest";
import { anonymousIdentity } from "../../src/core/access/identity.ts";
import type { AuthenticationRequest, AuthenticationStep } from "../../src/core/authentication.ts";
import { Harness } from "../core/harness.ts";
import { bytesOf, SimulatedClient, textOf } from "../core/simulated-client.ts";
import { field, packet, properties, uint16 } from "../support/bytes.ts";
import { afterConnect, WireClient } from "./wire.ts";

/** Asks once, and takes "right" for an answer. */
function authenticate(request: AuthenticationRequest): AuthenticationStep {
  if (request.type !== "method") throw new Error("nobody asked for that");
  if (request.state === undefined) return { type: "continue", data: bytesOf("who?"), state: "asked" };
  if (request.data !== undefined && textOf(request.data) === "right") {
    return { type: "success", identity: anonymousIdentity, data: bytesOf("welcome") };
  }
  return { type: "failure", reasonCode: 0x87, reasonString: "That is not right" };
}

function newShard(): Harness {
  return new Harness({ authenticationMethods: ["asking"], authenticate });
}

function begin(shard = newShard()): WireClient {
  return WireClient.connected(shard, { authenticationMethod: "asking" });
}

function auth(code: number, data: string, method = "asking"): Buffer {
  return packet(0xf0, code, properties(0x15, field(method), 0x16, field(data)));
}

function authenticated(shard = newShard()): WireClient {
  return begin(shard).sendBytes(auth(0x18, "right"));
}

describe("An Authentication Method in CONNECT", () => {
  test("[MQTT-4.12.0-1] that is not known is answered with 0x8C and closing", () => {
    const client = WireClient.connected(newShard(), { authenticationMethod: "unknown" });
    expect(client.received).toMatchObject([{ type: "connack", reasonCode: 0x8c, sessionPresent: false }]);
    expect(client.closeCode).toBe(1008);
  });

  test("[MQTT-4.12.0-2] [MQTT-4.12.0-5] is answered with AUTH 0x18 of that method, before any CONNACK", () => {
    const client = begin();
    const expected = { type: "auth", reasonCode: 0x18, authenticationMethod: "asking" };
    expect(client.received).toMatchObject([expected]);
    expect(client.closeCode).toBeUndefined();
  });

  test("[MQTT-4.12.0-5] comes back with the CONNACK that ends the exchange well", () => {
    const connack = authenticated().only("connack");
    expect(connack).toMatchObject({ reasonCode: 0, authenticationMethod: "asking" });
    expect(connack.authenticationData).toEqual(Uint8Array.from(Buffer.from("welcome")));
  });

  test("[MQTT-4.12.0-4] is refused with CONNACK and closing when the answer is wrong", () => {
    const client = begin().sendBytes(auth(0x18, "wrong"));
    expect(client.types).toEqual(["auth", "connack"]);
    expect(client.only("connack")).toMatchObject({ reasonCode: 0x87, sessionPresent: false });
    expect(client.closeCode).toBe(1008);
  });

  test.each([
    ["another code", auth(0x19, "right")],
    ["another method", auth(0x18, "right", "other")],
  ])("[MQTT-4.12.0-3] [MQTT-4.12.0-5] refuses an answer with %s", (_title, answer) => {
    const client = begin().sendBytes(answer);
    expect(client.types).toEqual(["auth", "connack"]);
    expect(client.only("connack").reasonCode).toBe(0x82);
    expect(client.closeCode).toBe(1008);
  });
});

describe("During the first exchange", () => {
  test.each([
    ["PUBLISH", packet(0x30, field("a"), 0, "x")],
    ["SUBSCRIBE", packet(0x82, uint16(1), 0, field("a"), 0)],
    ["PINGREQ", packet(0xc0)],
    ["PUBACK", packet(0x40, uint16(1))],
  ])(
    "[MQTT-3.1.2-30] [MQTT-3.2.0-1] %s closes the connection, and is neither served nor answered",
    (_title, content) => {
      const shard = newShard();
      const listener = SimulatedClient.connected(shard);
      listener.subscribe("a");
      const client = begin(shard).sendBytes(content);
      expect(client.types.filter((type) => type !== "connack")).toEqual(["auth"]);
      for (const { reasonCode } of client.all("connack")) expect(reasonCode).toBeGreaterThanOrEqual(0x80);
      expect(client.closeCode).toBeGreaterThan(1000);
      expect(listener.payloads).toEqual([]);
    },
  );
});

describe("A client that named no Authentication Method", () => {
  test("[MQTT-4.12.0-6] gets no AUTH, and a CONNACK without a method", () => {
    const client = WireClient.connected(newShard());
    expect(client.types).toEqual(["connack"]);
    expect(client.only("connack")).not.toHaveProperty("authenticationMethod");
    expect(client.only("connack")).not.toHaveProperty("authenticationData");
  });

  test.each([0x18, 0x19])(
    "[MQTT-4.12.0-7] is sent away with 0x82 when it sends AUTH with code %i",
    (code) => {
      const client = WireClient.connected(newShard()).sendBytes(auth(code, "right"));
      expect(client.types).toEqual(["connack", "disconnect"]);
      expect(client.only("disconnect").reasonCode).toBe(0x82);
      expect(client.closeCode).toBe(1002);
    },
  );
});

describe("A client that authenticates anew", () => {
  test("[MQTT-4.12.1-1] does so by the method of its CONNECT, and goes on meanwhile", () => {
    const client = authenticated().sendBytes(auth(0x19, "")).sendBytes(packet(0xc0), auth(0x18, "right"));
    expect(client.types.slice(2)).toEqual(["auth", "pingresp", "auth"]);
    expect(client.all("auth").map(({ reasonCode }) => reasonCode)).toEqual([0x18, 0x18, 0x00]);
    for (const { authenticationMethod } of client.all("auth")) expect(authenticationMethod).toBe("asking");
    expect(client.closeCode).toBeUndefined();
  });

  test("[MQTT-4.12.1-1] is sent away when it names another method", () => {
    const client = authenticated().sendBytes(auth(0x19, "", "other"));
    expect(client.only("disconnect").reasonCode).toBeGreaterThanOrEqual(0x80);
    expect(client.closeCode).toBeGreaterThan(1000);
  });

  test("[MQTT-4.12.1-2] and fails is sent away with the reason", () => {
    const client = authenticated().sendBytes(auth(0x19, ""), auth(0x18, "wrong"));
    expect(client.only("disconnect").reasonCode).toBe(0x87);
    expect(client.closeCode).toBe(1008);
  });
});

describe("AUTH", () => {
  test("[MQTT-3.15.2-2] [MQTT-3.15.2-3] from the server holds no Reason String and no User Property", () => {
    const client = authenticated().sendBytes(auth(0x19, ""), auth(0x18, "right"));
    expect(client.all("auth")).toHaveLength(3);
    for (const packetSent of client.all("auth")) {
      expect(packetSent).not.toHaveProperty("reasonString");
      expect(packetSent).not.toHaveProperty("userProperties");
    }
  });

  test("[MQTT-3.15.2-1] from a client has the code 0x18 or 0x19, or is answered with 0x82", () => {
    for (let code = 0; code < 0x100; code += 1) {
      if (code === 0x18 || code === 0x19) continue;
      const client = authenticated().sendBytes(auth(code, "right"));
      expect([code, client.only("disconnect").reasonCode]).toEqual([code, 0x82]);
    }
  });

  test.each([0xf1, 0xf2, 0xf4, 0xf8])(
    "[MQTT-3.15.1-1] with flags is malformed: first byte %i",
    (firstByte) => {
      const client = afterConnect(5, packet(firstByte, 0x18, properties(0x15, field("asking"))));
      expect(client.only("disconnect").reasonCode).toBe(0x81);
    },
  );
});
