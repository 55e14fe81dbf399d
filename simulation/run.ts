/** One run from beginning to end. */
import { checkDeliveries } from "./checks/deliveries.ts";
import {
  checkAnswers,
  checkNothingOld,
  checkRest,
  checkRetained,
  checkRoutes,
  retainedCandidates,
} from "./checks/quiet.ts";
import { checkShared } from "./checks/shared.ts";
import { checkWills } from "./checks/wills.ts";
import { Violation } from "./history.ts";
import type { ClientPlan, Plan } from "./plan.ts";
import { World } from "./world.ts";

export interface Result {
  readonly violation: Violation | undefined;
  readonly lines: readonly string[];
}

/** Outboxes that failed are tried again within 5 minutes. */
const outboxMs = 700_000;
const sweepCount = 8;
const drainMinutesMax = 240;

export function run(plan: Plan): Result {
  const world = new World(plan);
  let violation: Violation | undefined;
  try {
    live(world);
  } catch (error) {
    violation = error instanceof Violation ? error : new Violation("exception", textOf(error));
    world.history.log(violation.message);
  }
  return { violation, lines: world.history.lines };
}

function live(world: World): void {
  const { plan } = world;
  world.runPlan();
  world.makePeace();
  world.advance(5_000);
  world.advance(outboxMs);
  drain(world);
  world.history.mayRepeat = world.shards.some(({ memory }) => memory > 1);
  checkDeliveries(world.history);
  sweep(world);
  checkAnswers(world);
  checkDeliveries(world.history);
  checkShared(world);
  const candidates = retainedCandidates(world);
  const count = helperIndex(plan);
  const readers = [
    world.join(helper(count + 1, ["#"])),
    world.join(helper(count + 2, [...candidates.keys()])),
  ];
  world.advance(60_000);
  for (const reader of readers) checkRetained(world, candidates, reader.plan.index);
  checkRoutes(world);
  world.history.mayRepeat = true;
  world.evictAll();
  world.advance(outboxMs);
  checkNothingOld(world, new Set([count + 1, count + 2]));
  checkDeliveries(world.history);
  checkWills(world);
  for (const client of world.clients) client.disconnect();
  world.advance(outboxMs);
  checkRest(world);
}

/** As long as anybody is sent messages: with a window of 1 and a flush a second a queue takes its time. */
function drain(world: World): void {
  const { lines } = world.history;
  for (let minute = 0; minute < drainMinutesMax; minute += 1) {
    const before = lines.length;
    world.advance(60_000);
    if (!lines.slice(before).some((line) => line.includes(" < publish "))) return;
  }
}

/** A message to every topic, so that what resets left behind is found out. */
function sweep(world: World): void {
  const { plan, history } = world;
  const retained = [...retainedCandidates(world).keys()];
  const wills = plan.clients.map(({ index }) => `will/${index}`);
  const sweeper = world.join(helper(helperIndex(plan), []));
  for (const topicName of [...plan.topicNames, ...retained, ...wills]) {
    for (let left = sweepCount; left > 0; left -= 1) {
      sweeper.publish({ topicName, qos: 1, retain: false, isClearing: false, isSwept: true });
      world.advance(20);
    }
  }
  history.log("swept");
  world.advance(outboxMs);
}

/** The first number that no client of the plan has. */
function helperIndex({ clients }: Plan): number {
  return Math.max(...clients.map(({ index }) => index)) + 1;
}

/** A client that helps to look. */
function helper(index: number, filters: readonly string[]): ClientPlan {
  return {
    index,
    clientId: `helper-${index}`,
    protocolVersion: 5,
    sessionExpiryIntervalSec: 3_600,
    keepAliveSec: 0,
    receiveMaximums: [65_535],
    reusesIdentifiers: false,
    ackMs: [0, 0],
    comesBackMs: [100, 100],
    willQos: undefined,
    willDelaySec: 0,
    wants: filters.map((filter) => ({ filter, qos: 2, noLocal: false, retainHandling: 0 })),
    isMember: false,
    startsAtMs: 0,
  };
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error ? `${error.message}: ${cause.stack}` : `${error.stack}`;
}
