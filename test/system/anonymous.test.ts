import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectClient } from "../support/clients.ts";
import { type Broker, startBroker } from "./broker.ts";

/** What a deployment is before its owner has set anything. */
describe("Without anonymous access and credentials", () => {
  let broker: Broker;

  beforeAll(async () => {
    broker = await startBroker({ dataDir: ":memory:", environment: { ANONYMOUS: "false" } });
  });
  afterAll(() => broker.stop());

  test.each([
    [4, 5],
    [5, 0x87],
  ] as const)("a client of version %i is refused with %i", async (protocolVersion, code) => {
    await expect(connectClient(broker.url, { protocolVersion, clientId: "anybody" })).rejects.toMatchObject({
      code,
    });
  });
});
