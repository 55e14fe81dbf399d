/** Draws a plan: which faults there are at all, how often, and who the clients are, differ from seed to seed. */
import type { QoS } from "../src/core/packet.ts";
import { defaultLimits } from "../src/core/limits.ts";
import { Placement } from "../src/core/placement.ts";
import type { ClientPlan, Plan, Step, Wanted } from "./plan.ts";
import { Random } from "./random.ts";
import type { Weather } from "./shard-network.ts";
import { fairWeather } from "./shard-network.ts";

const neverExpires = 0xffff_ffff;

interface Swarm {
  readonly random: Random;
  readonly placement: Placement;
  readonly shards: number;
  readonly endsAtMs: number;
  readonly topicNames: readonly string[];
  readonly qosMix: readonly QoS[];
  readonly clients: readonly ClientPlan[];
}

export function drawPlan(seed: number): Plan {
  const random = new Random(seed).fork("plan");
  const shards = random.chance(0.15) ? 1 : random.between(2, random.chance(0.3) ? 8 : 4);
  const placement = new Placement({ epoch: 1, shards, topicKeyLevels: 2 });
  const topicNames = drawTopics(random, placement);
  const endsAtMs = random.pick([10_000, 30_000, 60_000, 120_000, 240_000]);
  const clients = drawClients(random, placement, topicNames);
  const qosMix = random.pick<readonly QoS[]>([[1], [2], [1, 2], [0, 1, 2], [0, 1, 1, 2, 2, 2]]);
  const swarm: Swarm = { random, placement, shards, endsAtMs, topicNames, qosMix, clients };
  const steps = [...drawTraffic(swarm), ...drawMoves(swarm), ...drawFlaps(swarm), ...drawFaults(swarm)];
  return {
    seed,
    shards,
    flushesPerSecMax: random.chance(0.25) ? random.pick([1, 2, 5, 20]) : Infinity,
    logSparseBytesMax: seed % 2 === 0 ? 0 : defaultLimits.logSparseBytesMax,
    callMs: random.pick([
      [0, 0],
      [0, 5],
      [1, 40],
      [1, 300],
    ] as const),
    socketMs: random.pick([
      [0, 0],
      [0, 20],
      [1, 200],
    ] as const),
    commitMs: random.pick([
      [0, 2],
      [1, 10],
      [5, 100],
    ] as const),
    topicNames,
    clients,
    steps: steps.toSorted((left, right) => left.atMs - right.atMs),
    endsAtMs,
  };
}

/** At least one on each of some shards. */
function drawTopics(random: Random, placement: Placement): string[] {
  const names: string[] = [];
  const count = random.between(1, 6);
  for (let number = 0; names.length < count; number += 1) {
    const wanted = random.between(0, placement.layout.shards - 1);
    const name = `${random.pick(["a", "b"])}${number}/${random.pick(["x", "y"])}${random.chance(0.2) ? "/deep" : ""}`;
    if (placement.topicShard(name) === wanted || random.chance(0.2)) names.push(name);
  }
  return names;
}

function drawClients(random: Random, placement: Placement, topicNames: readonly string[]): ClientPlan[] {
  const count = random.between(2, 9);
  const hasShared = random.chance(0.4);
  const hasWills = random.chance(0.5);
  const isSlow = random.chance(0.3);
  const groups = [random.pick(["#", "+/x", ...topicNames]), random.pick(topicNames)];
  return Array.from({ length: count }, (_, index): ClientPlan => {
    const isMember = hasShared && random.chance(0.5);
    const shared = `$share/g${random.between(0, 1)}/${random.pick(groups)}`;
    const protocolVersion = random.chance(0.35) ? 4 : 5;
    const wants = isMember
      ? [drawWanted(random, shared)]
      : Array.from({ length: random.between(0, 3) }, () =>
          drawWanted(random, drawFilter(random, topicNames)),
        );
    return {
      index,
      clientId: clientIdOn(placement, random.between(0, placement.layout.shards - 1), `c${index}`),
      protocolVersion,
      sessionExpiryIntervalSec: drawExpiry(random, protocolVersion),
      keepAliveSec: random.pick([0, 0, 10, 30, 60]),
      receiveMaximums: random.pick([[65_535], [1], [1, 2, 3], [10, 65_535]]),
      reusesIdentifiers: random.chance(0.5),
      ackMs: isSlow ? [0, random.pick([50, 1_000, 3_000])] : [0, 2],
      comesBackMs: random.pick([
        [20, 200],
        [100, 3_000],
        [1_000, 30_000],
      ] as const),
      willQos: hasWills && random.chance(0.6) ? random.pick([0, 1, 2]) : undefined,
      willDelaySec: random.pick([0, 0, 5, 40]),
      wants: wants
        .filter(({ filter }, at) => wants.findIndex((one) => one.filter === filter) === at)
        .map((wanted) => (protocolVersion === 5 ? wanted : asVersion4(wanted))),
      isMember,
      startsAtMs: random.chance(0.8) ? random.between(0, 50) : random.between(0, 20_000),
    };
  });
}

function drawExpiry(random: Random, protocolVersion: 4 | 5): number {
  if (protocolVersion === 4) return random.chance(0.75) ? neverExpires : 0;
  return random.pick([0, neverExpires, neverExpires, 3_600, 3_600, 20, 60]);
}

function drawFilter(random: Random, topicNames: readonly string[]): string {
  const topicName = random.pick(topicNames);
  const [first = "", second = ""] = topicName.split("/");
  return random.pick([
    "#",
    "+/x",
    "+/+",
    `${first}/#`,
    `${first}/${second}/#`,
    "will/#",
    topicName,
    topicName,
    topicName,
  ]);
}

function drawWanted(random: Random, filter: string): Wanted {
  const isShared = filter.startsWith("$share/");
  return {
    filter,
    qos: random.pick([0, 1, 1, 2, 2, 2, 2]),
    noLocal: !isShared && random.chance(0.1),
    retainHandling: random.pick([0, 0, 1, 2]),
  };
}

function asVersion4({ filter, qos }: Wanted): Wanted {
  return { filter, qos, noLocal: false, retainHandling: 0 };
}

function clientIdOn(placement: Placement, shard: number, prefix: string): string {
  for (let number = 0; ; number += 1) {
    const clientId = `${prefix}-${number}`;
    if (placement.sessionShard(clientId) === shard) return clientId;
  }
}

function drawTraffic({ random, endsAtMs, topicNames, qosMix, clients }: Swarm): Step[] {
  const steps: Step[] = [];
  const retains = random.chance(0.5) ? random.pick([0.1, 0.5]) : 0;
  const expires = random.chance(0.2) ? 0.3 : 0;
  const bursts = random.chance(0.3);
  const count = random.between(5, random.chance(0.3) ? 150 : 60);
  for (let left = count; left > 0; left -= 1) {
    const client = random.between(0, clients.length - 1);
    const atMs = random.between(100, endsAtMs);
    const plain = { topicName: random.pick(topicNames), qos: random.pick(qosMix), retain: false };
    const { topicName, qos, retain } = random.chance(retains) ? drawKept(random, client) : plain;
    steps.push({
      type: "publish",
      atMs,
      client,
      topicName,
      qos,
      count: bursts ? random.between(1, 12) : random.between(1, 2),
      retain,
      isClearing: retain && random.chance(0.15),
      ...(!retain &&
        clients[client]?.protocolVersion === 5 &&
        random.chance(expires) && { expirySec: random.pick([1, 10, 3_600]) }),
    });
  }
  return steps;
}

/** What clients do besides publishing. */
function drawMoves({ random, endsAtMs, topicNames, clients }: Swarm): Step[] {
  const steps: Step[] = [];
  const kinds = (["leave", "subscribe", "unsubscribe", "stall"] as const).filter(() => random.chance(0.6));
  if (kinds.length === 0) return steps;
  for (let left = random.between(0, 30); left > 0; left -= 1) {
    const client = random.between(0, clients.length - 1);
    const atMs = random.between(100, endsAtMs);
    const plan = clients[client] as ClientPlan;
    const type = random.pick(kinds);
    if (type === "stall") steps.push({ type, atMs, client, forMs: random.between(100, 40_000) });
    else if (type === "leave") steps.push(drawLeaving(random, atMs, client));
    else if (plan.isMember) steps.push({ type, atMs, client, wanted: random.pick(plan.wants) });
    else {
      const isKnown = plan.wants.length > 0 && random.chance(0.6);
      const wanted = isKnown ? random.pick(plan.wants) : drawWanted(random, drawFilter(random, topicNames));
      steps.push({ type, atMs, client, wanted: plan.protocolVersion === 5 ? wanted : asVersion4(wanted) });
    }
  }
  return steps;
}

/** Somebody unsubscribes and subscribes again, again and again, while there are messages on their way. */
function drawFlaps({ random, placement, endsAtMs, topicNames, qosMix, clients }: Swarm): Step[] {
  if (!random.chance(0.4)) return [];
  const others = clients.filter(({ isMember }) => !isMember);
  if (others.length === 0) return [];
  const { index: client, clientId } = random.pick(others);
  const publisher = random.between(0, clients.length - 1);
  const isKept = random.chance(0.5);
  const { topicName, qos, retain } = drawElsewhere(placement, clientId, () =>
    isKept
      ? drawKept(random, publisher)
      : { topicName: random.pick(topicNames), qos: random.pick(qosMix), retain: false },
  );
  const wanted: Wanted = {
    filter: topicName,
    qos: random.pick([1, 2, 2]),
    noLocal: false,
    retainHandling: isKept ? 0 : 2,
  };
  let atMs = random.between(100, endsAtMs);
  const pauseMs = random.pick([50, 400, 2_000, 6_000]);
  const steps = drawTrouble(random, atMs, isKept, placement.topicShard(topicName));
  for (let left = random.between(2, 16); left > 0 && atMs < endsAtMs; left -= 1) {
    const isOn = isKept || left % 2 === 1;
    steps.push({ type: isOn ? "subscribe" : "unsubscribe", atMs, client, wanted });
    // Often just when the subscription is given up, so that the message finds nobody.
    const awayMs = isKept || random.chance(0.3) ? pauseMs : 20;
    const publishAtMs = Math.max(0, atMs + random.between(-awayMs, awayMs));
    const about = { client: publisher, topicName, qos, count: 1, retain, isClearing: false };
    steps.push({ type: "publish", atMs: publishAtMs, ...about });
    atMs += random.between(0, pauseMs);
  }
  return steps;
}

/** What makes answers and retained messages late: slow calls, or an owner of topics that hears the others unheard. */
function drawTrouble(random: Random, atMs: number, isKept: boolean, owner: number): Step[] {
  const forMs = random.pick([1_000, 4_000, 8_000]);
  const often = isKept ? "partition" : "slowness";
  const trouble = random.pick(["none", "partition", "slowness", often]);
  if (trouble === "none") return [];
  if (trouble === "partition") return [{ type: trouble, atMs, side: [owner], isOneWay: true, forMs }];
  return [
    { type: "weather", atMs, weather: { ...fairWeather, slow: random.pick([0, 0.2]), slowAnswer: 0.5 } },
    { type: "weather", atMs: atMs + forMs, weather: fairWeather },
  ];
}

/** A topic that another shard has than the client's, if a few tries bring one. */
function drawElsewhere<Topic extends { readonly topicName: string }>(
  placement: Placement,
  clientId: string,
  draw: () => Topic,
): Topic {
  let drawn = draw();
  for (let left = 5; left > 0; left -= 1) {
    if (placement.topicShard(drawn.topicName) !== placement.sessionShard(clientId)) break;
    drawn = draw();
  }
  return drawn;
}

/** Each retained topic has one publisher, which keeps to one QoS. */
function drawKept(random: Random, client: number): { topicName: string; qos: QoS; retain: boolean } {
  const kept = random.between(0, 2);
  return { topicName: `k${client}/${kept}`, qos: (client + kept) % 2 === 0 ? 1 : 2, retain: true };
}

function drawLeaving(random: Random, atMs: number, client: number): Step {
  const isNoticed = random.chance(0.8);
  return {
    type: "leave",
    atMs,
    client,
    manner: random.pick(["disconnect", "disconnectWithWill", "cut", "cut", "cut"]),
    ...(isNoticed && { noticeMs: random.pick([0, 10, 2_000, 20_000]) }),
    unawareMs: random.pick([0, 10, 1_000, 5_000]),
    awayMs: random.pick([0, 100, 2_000, 10_000, 45_000, 100_000]),
    cleanStart: random.chance(0.12),
  };
}

function drawFaults({ random, endsAtMs, shards }: Swarm): Step[] {
  const steps: Step[] = [];
  const kinds = (["reset", "evict", "fail", "deploy", "weather", "partition"] as const).filter(() =>
    random.chance(0.4),
  );
  if (kinds.length === 0) return steps;
  const severity = random.pick([0.05, 0.2, 0.5, 1]);
  for (let left = random.between(0, random.chance(0.3) ? 40 : 12); left > 0; left -= 1) {
    const atMs = random.between(50, endsAtMs);
    const shard = random.between(0, shards - 1);
    const restartMs = random.pick([1, 20, 200, 3_000]);
    const type = random.pick(kinds);
    if (type === "reset") steps.push({ type, atMs, shard, restartMs, whileWriting: random.chance(0.6) });
    else if (type === "deploy") steps.push({ type, atMs, restartMs });
    else if (type === "weather") steps.push({ type, atMs, weather: drawWeather(random, severity) });
    else if (type === "partition") {
      const side = Array.from({ length: shards }, (_, index) => index).filter(() => random.chance(0.5));
      const isOneWay = random.chance(0.5);
      steps.push({ type, atMs, side, isOneWay, forMs: random.pick([500, 4_000, 20_000]) });
    } else if (type === "evict") steps.push({ type, atMs, shard });
    else steps.push({ type, atMs, shard, where: random.pick(["event", "read"]) });
  }
  return steps;
}

function drawWeather(random: Random, severity: number): Weather {
  if (random.chance(0.3)) return fairWeather;
  const rate = (most: number): number => (random.chance(0.5) ? random.next() * most * severity : 0);
  return {
    lost: rate(0.6),
    lostAnswer: rate(0.4),
    twice: rate(1),
    slow: rate(0.7),
    slowAnswer: rate(0.7),
    foreign: rate(0.2),
  };
}
