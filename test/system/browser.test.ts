/**
 * The browser builds of MQTT.js and Paho inside headless Chromium. Where that is not installed, these tests are
 * reported as skipped, except in CI (environment variable CI), where they fail.
 */
import { describe, expect, test } from "vitest";
import { canUseBrowser, useBrowser, type PageClient, type TestPage } from "../support/browser.ts";
import type { PageOptions } from "../support/browser-page.ts";
import { connectClient } from "../support/clients.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const CLIENTS = [
  { library: "MQTT.js", version: "5.0", protocolVersion: 5 },
  { library: "MQTT.js", version: "3.1.1", protocolVersion: 4 },
  { library: "Paho", version: "3.1.1", protocolVersion: 4 },
  { library: "Paho", version: "3.1", protocolVersion: 3 },
] as const;

describe.runIf(canUseBrowser)("In Chromium", () => {
  const broker = useBroker();
  const browser = useBrowser();

  describe.each(CLIENTS)("$library at version $version", ({ library, protocolVersion }) => {
    type Extras = Omit<Partial<PageOptions>, "port" | "library" | "protocolVersion">;

    const connect = (page: TestPage, role: string, extras: Extras = {}): Promise<PageClient> =>
      page.connect({ clientId: unique(role), ...extras, library, protocolVersion, port: broker.port });

    test.each([0, 1, 2])("publishes and receives at QoS %i", async (qos) => {
      const page = await browser.open();
      const [publisher, subscriber] = await Promise.all([
        connect(page, "publisher"),
        connect(page, "subscriber"),
      ]);
      const topic = `${unique("page")}/grüße/🦆`;
      expect(await subscriber.subscribe(topic, qos)).toBe(qos);
      for (const payload of ["first", "zweite 🦆", "last"]) await publisher.publish({ topic, payload, qos });
      for (const payload of ["first", "zweite 🦆", "last"]) {
        expect(await subscriber.nextMessage()).toMatchObject({ topic, payload, qos, retain: false });
      }
      expect(page.errors).toEqual([]);
    });

    test("gets every byte value, and a payload of 100 kB, unchanged", async () => {
      const page = await browser.open();
      const client = await connect(page, "binary");
      const topic = unique("page");
      await client.subscribe(topic, 1);
      const everyByte = Array.from({ length: 256 }, (_, value) => value);
      await client.publish({ topic, payload: everyByte, qos: 1 });
      expect((await client.nextMessage()).bytes).toEqual(everyByte);
      const large = "duramq ".repeat(15_000);
      await client.publish({ topic, payload: large, qos: 1 });
      expect((await client.nextMessage()).payload).toBe(large);
    });

    test("receives retained messages, and nothing after it unsubscribed", async () => {
      const page = await browser.open();
      const client = await connect(page, "retained");
      const root = unique("page");
      await client.publish({ topic: `${root}/a`, payload: "retained", qos: 1, retain: true });
      await client.subscribe(`${root}/+`, 1);
      expect(await client.nextMessage()).toMatchObject({ payload: "retained", retain: true });
      await client.unsubscribe(`${root}/+`);
      await client.subscribe(`${root}/marker`, 1);
      await client.publish({ topic: `${root}/a`, payload: "unwanted", qos: 1 });
      await client.publish({ topic: `${root}/marker`, payload: "marker", qos: 1 });
      expect((await client.nextMessage()).payload).toBe("marker");
    });

    test("leaves its Will when its page is closed, and none when it disconnects", async () => {
      const [page, doomedPage] = await Promise.all([browser.open(), browser.open()]);
      const witness = await connect(page, "witness");
      const topic = unique("will");
      await witness.subscribe(`${topic}/#`, 1);
      const will = (payload: string) => ({ will: { topic: `${topic}/will`, payload, qos: 1 } });
      const polite = await connect(page, "polite", will("unwanted"));
      await polite.disconnect();
      await witness.publish({ topic: `${topic}/marker`, payload: "marker", qos: 1 });
      expect((await witness.nextMessage()).payload).toBe("marker");
      await connect(doomedPage, "doomed", will("farewell"));
      await doomedPage.close();
      expect(await witness.nextMessage()).toMatchObject({
        topic: `${topic}/will`,
        payload: "farewell",
        qos: 1,
      });
    });

    test("goes on with its session when its page is loaded again", async () => {
      const page = await browser.open();
      const extras = { clientId: unique("reloaded"), isPersistent: true };
      const topic = unique("page");
      const before = await connect(page, "reloaded", extras);
      await before.subscribe(topic, 2);
      await page.load();
      const publisher = await connectClient(broker.url, { clientId: unique("publisher") });
      const payloads = ["1", "2", "3", "4"];
      for (const payload of payloads) await publisher.publish(topic, payload, { qos: 2 });
      const after = await connect(page, "reloaded", extras);
      if (library === "MQTT.js") expect(after.sessionPresent).toBe(true);
      expect(await after.nextPayloads(payloads.length)).toEqual(payloads);
      await publisher.publish(topic, "live again", { qos: 2 });
      expect((await after.nextMessage()).payload).toBe("live again");
      expect(page.errors).toEqual([]);
    });

    test("takes its session over from another page", async () => {
      const [first, second] = await Promise.all([browser.open(), browser.open()]);
      const extras = { clientId: unique("twin"), isPersistent: true };
      const topic = unique("page");
      await (await connect(first, "twin", extras)).subscribe(topic, 1);
      const twin = await connect(second, "twin", extras);
      await twin.publish({ topic, payload: "for the second", qos: 1 });
      expect((await twin.nextMessage()).payload).toBe("for the second");
    });
  });

  test("MQTT.js at version 5.0 gets User Properties as they were given", async () => {
    const page = await browser.open();
    const options = { library: "MQTT.js", protocolVersion: 5, port: broker.port } as const;
    const client = await page.connect({ ...options, clientId: unique("properties") });
    const topic = unique("page");
    const userProperties = { colour: "blue", shape: ["round", "square"] };
    await client.subscribe(topic, 1);
    await client.publish({ topic, payload: "with properties", qos: 1, userProperties });
    expect((await client.nextMessage()).userProperties).toEqual(userProperties);
  });

  test("clients of one page, other pages and outside the browser reach one another", async () => {
    const pages = await Promise.all([browser.open(), browser.open()]);
    const topic = unique("page");
    const inPages = await Promise.all(
      CLIENTS.map(({ library, protocolVersion }, index) =>
        (pages[index % 2] as TestPage).connect({
          library,
          protocolVersion,
          port: broker.port,
          clientId: unique("mixed"),
        }),
      ),
    );
    const outside = await connectClient(broker.url, { clientId: unique("outside"), protocolVersion: 5 });
    await Promise.all([
      ...inPages.map((client) => client.subscribe(topic, 1)),
      outside.subscribe(topic, { qos: 1 }),
    ]);
    for (const [index, client] of inPages.entries()) {
      await client.publish({ topic, payload: `from ${index}`, qos: 1 });
      const received = await Promise.all([
        outside.nextMessage(),
        ...inPages.map((each) => each.nextMessage()),
      ]);
      expect(received.map(({ payload }) => payload)).toEqual(Array(5).fill(`from ${index}`));
    }
  });
});
