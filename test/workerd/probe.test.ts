import { test } from "vitest";
import { TestObject } from "./test-object.ts";
const t = async (name: string, f: () => Promise<any>) => {
  const a = Date.now();
  await f();
  const b = Date.now();
  console.log(name, b - a);
};
test("probe", async () => {
  for (let i = 0; i < 2; i++) {
    const o = new TestObject();
    let c: any, d: any;
    await t("connect", async () => {
      c = await o.connect("a");
    });
    await t("connect2", async () => {
      d = await o.connect("b", { cleanStart: false, sessionExpiryIntervalSec: 100 });
    });
    await t("ping", () => c.ping());
    await t("ping", () => c.ping());
    await t("wake", async () => {
      await o.stub.wake();
    });
    await t("evict", () => o.evict());
    await t("ping", () => c.ping());
    await t("vanish", () => c.vanish());
    await t("evict lost", () => o.evict("lost"));
    await t("connect", async () => {
      c = await o.connect("a");
    });
    await t("abort", () => o.abort());
    await t("connect", async () => {
      c = await o.connect("a");
    });
    await t("connect2", async () => {
      d = await o.connect("b", { cleanStart: false, sessionExpiryIntervalSec: 100 });
    });
    await t("10 pings", async () => {
      for (let k = 0; k < 10; k++) await Promise.all([c.ping(), d.ping()]);
    });
    await t("advance", () => o.advance(40));
    await t("vanish", () => c.vanish());
    await t("vanish persistent", () => d.vanish());
  }
});
