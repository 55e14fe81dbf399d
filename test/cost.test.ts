import { describe, expect, test } from "vitest";
import { awsUsageOf, workloads } from "../bench/cost/workloads.ts";
import { Simulation } from "../bench/cost/simulation.ts";
import { LoadClient } from "../bench/scaling/load-client.ts";
import { awsMonthly } from "../bench/pricing/aws.ts";
import type { CostName } from "../src/core/cost/counts.ts";
import { billOf, monthSec } from "../bench/pricing/cloudflare.ts";

const nothing = { framesIn: 0, calls: 0, alarms: 0, connects: 0, awake: 0, rows: 0, workerCpuMs: 0 };
const perMonth = (count: number): number => count / monthSec;

describe("Cloudflare", () => {
  test("asks the base price for nothing", () => {
    const { total, ...parts } = billOf(nothing);
    expect(total).toBe(5);
    expect(Object.values(parts)).toEqual(Object.values(parts).map(() => 0));
  });

  test("asks no more for what is included", () => {
    const included = {
      framesIn: perMonth(10e6),
      calls: perMonth(200_000),
      alarms: perMonth(200_000),
      connects: perMonth(100_000),
      awake: perMonth(400_000 / 0.128),
      rows: perMonth(50e6),
      workerCpuMs: perMonth(30e6),
      storedGb: 5,
    };
    expect(billOf(included).total).toBeCloseTo(5, 9);
  });

  test.each([
    ["twenty frames for a request", { framesIn: perMonth(21e6 * 20) }, 20 * 0.15],
    ["a request for a call", { calls: perMonth(21e6) }, 20 * 0.15],
    ["a request for an alarm", { alarms: perMonth(21e6) }, 20 * 0.15],
    ["two requests for a connection", { connects: perMonth(11e6) }, 10 * 0.15 + 0.3],
    ["128 MB for an object that is awake", { awake: 4 }, ((4 * monthSec * 0.128 - 4e5) / 1e6) * 12.5],
    ["rows that are written", { rows: perMonth(432e6) }, 382],
    ["processor time of the Worker", { workerCpuMs: perMonth(130e6) }, 2],
    ["gigabytes that are kept", { storedGb: 15 }, 2],
  ])("counts %s", (_, usage, expected) => {
    expect(billOf({ ...nothing, ...usage }).total).toBeCloseTo(5 + expected, 6);
  });

  test("an object that never sleeps is included", () => {
    expect(billOf({ ...nothing, awake: 1 }).duration).toBe(0);
  });

  test("the parts are the total", () => {
    const usage = { framesIn: 500, calls: 20, alarms: 1, connects: 9, awake: 3, rows: 80, workerCpuMs: 90 };
    const { total, ...parts } = billOf(usage);
    expect(5 + Object.values(parts).reduce((sum, part) => sum + part, 0)).toBeCloseTo(total, 9);
  });
});

describe("AWS IoT Core", () => {
  const priceOf = (wanted: string): number => {
    const found = workloads.find(({ name }) => name === wanted);
    if (found === undefined) throw new Error(wanted);
    return Math.round(awsMonthly(awsUsageOf(found)));
  };

  test("counts minutes, messages both ways, and a device's PUBACK", () => {
    expect(priceOf("idle-10k")).toBe(35);
    expect(priceOf("qos0-10k")).toBe(899);
    expect(priceOf("qos1-10k")).toBe(1271);
  });

  test("becomes cheaper after one billion and after five", () => {
    const ofCount = (count: number): number =>
      awsMonthly({ connectionMinutes: 0, messages: [{ count, bytes: 200 }] });
    expect(ofCount(1e9)).toBeCloseTo(1000, 6);
    expect(ofCount(5e9)).toBeCloseTo(4200, 6);
    expect(ofCount(6e9)).toBeCloseTo(4900, 6);
  });

  test.each([
    [0, 1],
    [5120, 1],
    [5121, 2],
    [20_480, 4],
  ])("counts %i bytes as %i messages", (bytes, units) => {
    const price = awsMonthly({ connectionMinutes: 0, messages: [{ count: 1e6, bytes }] });
    expect(price).toBeCloseTo(units, 9);
  });
});

describe("The broker's own bill", () => {
  test.each([1, 4])("agrees with what is counted around it, with shards: %i", (shards) => {
    const simulation = new Simulation(shards, {
      answerMs: 50,
      callMs: 10,
      commitMs: 10,
      turnMs: 1,
      workMsPerPing: 1,
      workMsPerFrame: 1,
      workMsPerCall: 1,
    });
    const clients = Array.from({ length: 20 }, (_, index) => {
      const options = { clientId: `device-${index}`, isPersistent: index % 2 === 0, keepAliveSec: 60 };
      const client = new LoadClient(simulation, options);
      client.subscribe(`room/${index}/+`, 1);
      return client;
    });
    for (let round = 0; round < 10; round += 1) {
      for (const [index, client] of clients.entries()) {
        const publish = (): void =>
          client.publish(`room/${index + 1}/x`, new Uint8Array(9), (round % 3) as 0 | 1 | 2, round === 5);
        simulation.at(simulation.nowMs + index * 37, publish);
        simulation.at(simulation.nowMs + 5000, () => client.ping());
      }
      simulation.run(15_000);
    }
    const { alarms, calls, frames, rows } = simulation.usage();
    const costs = simulation.shards.map(({ cost }) => cost.figures());
    const sum = (name: CostName): number => costs.reduce((total, cost) => total + cost[name], 0);
    expect([frames, rows, alarms, calls > 0]).toEqual([
      expect.toSatisfy((count: number) => count > 600),
      expect.toSatisfy((count: number) => count > 20),
      expect.toSatisfy((count: number) => count > 0),
      shards > 1,
    ]);
    expect({
      frames: sum("framesReceived"),
      rows: sum("rowsWritten"),
      callsMade: sum("callsMade"),
      callsBilled: sum("callsBilled"),
      connects: sum("requests"),
    }).toEqual({
      frames,
      rows: rows + alarms,
      callsMade: calls,
      callsBilled: calls,
      connects: clients.length,
    });
  });
});
