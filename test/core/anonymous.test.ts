import { describe, expect, test } from "vitest";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import { SimulatedClient } from "./simulated-client.ts";

describe("without anonymous access", () => {
  test.each([3, 4, 5] as const)(
    "every CONNECT at version %i is refused, and writes nothing",
    (protocolVersion) => {
      const shard = new Harness({ allowsAnonymous: false });
      const client = new SimulatedClient(shard);
      client.open().connect({ protocolVersion, sessionExpiryIntervalSec: 3600 });
      expect(client.last("connack").reasonCode).toBe(ReasonCode.NotAuthorized);
      expect(client.isConnected).toBe(false);
      expect(shard.commits).toEqual([]);
      expect(shard.alarmWrites).toEqual([]);
    },
  );
});
