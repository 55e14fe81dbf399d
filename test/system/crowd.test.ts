import { describe, expect, test } from "vitest";
import { connectClient, type TestClient } from "../support/clients.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const CLIENT_COUNT = 200;
const broker = useBroker();

describe("Two hundred clients at once", () => {
  test("each get the broadcast and their own message", async () => {
    const root = unique("crowd");
    const crowd = await Promise.all(Array.from({ length: CLIENT_COUNT }, (_, index) => join(root, index)));
    const speaker = await connectClient(broker.url, { clientId: unique("speaker"), protocolVersion: 5 });
    await speaker.publish(`${root}/all`, "broadcast", { qos: 1 });
    // One after the other: MQTT.js heeds no Receive Maximum, and would send all two hundred at once.
    for (const index of crowd.keys())
      await speaker.publish(`${root}/own/${index}`, `for ${index}`, { qos: 2 });
    const received = await Promise.all(crowd.map((client) => client.nextPayloads(2)));
    received.forEach((payloads, index) => {
      expect(payloads.toSorted()).toEqual(["broadcast", `for ${index}`]);
    });
    expect(crowd.flatMap((client) => client.untaken)).toEqual([]);
  });

  test("each publish to all the others", async () => {
    const root = unique("chorus");
    const singers = await Promise.all(Array.from({ length: 20 }, (_, index) => join(root, index)));
    await Promise.all(
      singers.map((singer, index) => singer.publish(`${root}/all`, String(index), { qos: 2 })),
    );
    const voices = singers.map((_, index) => String(index)).toSorted();
    for (const singer of singers) {
      expect((await singer.nextPayloads(singers.length)).toSorted()).toEqual(voices);
    }
  });
});

/** Both protocol versions and all QoS levels, mixed. */
async function join(root: string, index: number): Promise<TestClient> {
  const protocolVersion = index % 2 === 0 ? 4 : 5;
  const client = await connectClient(broker.url, { clientId: `${root}-${index}`, protocolVersion });
  const qos = (index % 3) as 0 | 1 | 2;
  await client.subscribe([`${root}/all`, `${root}/own/${index}`], { qos });
  return client;
}
