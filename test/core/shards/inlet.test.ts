import { beforeEach, describe, expect, test } from "vitest";
import type { Batch, BatchAnswer, PeerItem } from "../../../src/core/peers/message.ts";
import { Inlet } from "../../../src/core/peers/inlet.ts";
import { bytesOf } from "../simulated-client.ts";
import { Publisher, Returning } from "./actors.ts";
import { Network } from "./network.ts";

const applied: BatchAnswer = { type: "applied", outcomes: [] };

describe("An inlet", () => {
  let inlet: Inlet;

  beforeEach(() => {
    inlet = new Inlet();
  });

  function admit(stream: number, sequence: number): string {
    const admission = inlet.admit({ stream, sequence });
    if (admission.type === "refuse") return `${admission.refusal} ${admission.stream}`;
    return admission.type;
  }

  test("applies the batches of a stream one after another", () => {
    expect([admit(10, 1), admit(10, 2), admit(10, 3)]).toEqual(["apply", "apply", "apply"]);
  });

  test("answers a batch that comes again as it did before", () => {
    admit(10, 1);
    expect(inlet.admit({ stream: 10, sequence: 1 })).toEqual({ type: "repeat", answer: undefined });
    inlet.noteAnswer({ stream: 10, sequence: 1 }, applied);
    expect(inlet.admit({ stream: 10, sequence: 1 })).toEqual({ type: "repeat", answer: applied });
  });

  test("refuses what came before the last one, and what leaves one out", () => {
    admit(10, 1);
    admit(10, 2);
    expect(admit(10, 1)).toBe("sequence 10");
    expect(admit(10, 4)).toBe("sequence 10");
    expect(admit(10, 3)).toBe("apply");
  });

  test("refuses an older stream, and names its own", () => {
    admit(10, 1);
    expect(admit(9, 1)).toBe("stream 10");
    expect(admit(9, 2)).toBe("stream 10");
  });

  test("begins a newer stream only at its beginning", () => {
    admit(10, 5);
    expect(admit(11, 2)).toBe("sequence 10");
    expect(admit(11, 1)).toBe("apply");
    expect(admit(10, 6)).toBe("stream 11");
  });

  test("goes on with any stream after a sleep", () => {
    expect(admit(10, 77)).toBe("apply");
    expect(admit(10, 78)).toBe("apply");
  });

  test("does not take a late answer for that of a newer batch", () => {
    admit(10, 1);
    admit(10, 2);
    inlet.noteAnswer({ stream: 10, sequence: 1 }, applied);
    expect(inlet.admit({ stream: 10, sequence: 2 })).toEqual({ type: "repeat", answer: undefined });
  });
});

describe("A batch that is not right", () => {
  const target = 2;
  let network: Network;
  let topicName: string;
  let answers: BatchAnswer[];
  let calls: number;

  beforeEach(() => {
    network = new Network();
    topicName = network.topicOn(target);
    const subscriber = new Returning(network, network.clientOn(target, "subscriber")).comeBack();
    subscriber.subscribe(topicName, 2);
    new Returning(network, network.clientOn(1, "other")).comeBack().subscribe(topicName, 2);
    const publisher = new Publisher(network, network.clientOn(0, "publisher")).comeBack();
    publisher.say(topicName, "kept", 1, { retain: true });
    publisher.say(topicName, "live", 2);
    network.advance(120_000);
    // What could wait is written now.
    network.settle();
    answers = [];
    calls = 1_000_000;
    const { onAnswer } = network;
    network.onAnswer = (callId, answer) => {
      if (callId > 1_000_000) answers.push(answer);
      else onAnswer.call(network, callId, answer);
    };
  });

  /** Everything that the shard knows or keeps. */
  function stateOf(): string {
    const { core, storage } = network.at(target);
    const rows = [
      [...storage.readSessions()],
      [...storage.readSegmentHeads()],
      [...storage.readRoutes()],
      storage.readShard(),
    ];
    const sessions = [...core.sessions].map((session) => [session.clientId, session.deliveryState()]);
    return JSON.stringify([rows, sessions, core.routes(), core.owners.retainedNames("#", network.nowMs)]);
  }

  function batchOf(change: Partial<Batch>): Batch {
    const message = { topicName, payload: bytesOf("forged"), qos: 2, retain: true } as const;
    const items: PeerItem[] = [
      {
        type: "publish",
        publication: { message },
        publisherClientId: "x",
        origin: { shard: 0, sequence: 999 },
      },
      { type: "addRoute", filter: "forged", version: { boot: 99, serial: 1 } },
      { type: "removeRoute", filter: topicName, version: { boot: 99, serial: 1 } },
    ];
    const { layout } = network.placement;
    // Newer than any of a real shard.
    const stream = network.nowMs * 2048;
    return { lane: "publish", from: 0, to: target, layout, stream, sequence: 1, items, ...change };
  }

  function call(batch: Batch): BatchAnswer | undefined {
    calls += 1;
    answers.length = 0;
    network.at(target).handle({ type: "called", callId: calls, batch });
    network.settle();
    return answers[0];
  }

  function refused(change: Partial<Batch>, refusal: string): void {
    const before = stateOf();
    const written = network.at(target).rowsWritten;
    const { counters } = network.at(target).core;
    const counted = counters.peerRefusals.get(refusal as never) ?? 0;
    expect(call(batchOf(change))).toMatchObject({ type: "refused", refusal });
    expect(stateOf()).toBe(before);
    expect(network.at(target).rowsWritten).toBe(written);
    expect(counters.peerRefusals.get(refusal as never)).toBe(counted + 1);
  }

  test.each([
    ["from nobody", { from: 4 }],
    ["from a shard below 0", { from: -1 }],
    ["from half a shard", { from: 0.5 }],
    ["from no number", { from: Number.NaN }],
    ["from the shard itself", { from: target }],
    ["to another shard", { to: 1 }],
  ])("because it comes %s is refused and changes nothing", (_, change) => {
    refused(change, "address");
  });

  test.each([
    ["another epoch", { epoch: 2, shards: 4, topicKeyLevels: 2 }],
    ["another number of shards", { epoch: 1, shards: 8, topicKeyLevels: 2 }],
    ["other topic keys", { epoch: 1, shards: 4, topicKeyLevels: 3 }],
  ])("because it is of %s is refused and changes nothing", (_, layout) => {
    refused({ layout }, "layout");
  });

  test("because it has more than 1000 items is refused and changes nothing", () => {
    const [first] = batchOf({}).items;
    refused({ items: Array.from({ length: 1001 }, () => first as PeerItem) }, "size");
  });

  test("because its stream is an older one is refused and changes nothing", () => {
    call(batchOf({ items: [] }));
    refused({ stream: 1 }, "stream");
  });

  test("because its sequence is out of step is refused and changes nothing", () => {
    call(batchOf({ items: [] }));
    refused({ sequence: 3 }, "sequence");
    call(batchOf({ items: [], sequence: 2 }));
    refused({ sequence: 1 }, "sequence");
  });

  test("because it came before is answered as before and changes nothing", () => {
    const { stream } = batchOf({});
    const first = call(batchOf({}));
    network.advance(60_000);
    network.settle();
    const before = stateOf();
    expect(call(batchOf({ stream }))).toEqual(first);
    expect(stateOf()).toBe(before);
  });
});

describe("A batch that goes to its owner and has no items", () => {
  test("is answered", () => {
    const network = new Network();
    const answers: BatchAnswer[] = [];
    network.onAnswer = (_, answer) => void answers.push(answer);
    const { layout } = network.placement;
    const batch = { lane: "deliver", from: 0, to: 1, layout, stream: 1, sequence: 1, items: [] } as const;
    network.at(1).handle({ type: "called", callId: 1, batch });
    network.settle();
    expect(answers).toEqual([applied]);
  });
});
