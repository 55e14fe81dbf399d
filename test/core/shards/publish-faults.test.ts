import { describe, expect, test } from "vitest";
import { firstsOf } from "./actors.ts";
import type { Cast, Fault } from "./scenes.ts";
import { casts, faultsOf, Scene } from "./scenes.ts";

const payloads = ["1", "2", "3", "4"];

/** Two messages at once, one more, and one after the fault. */
function play(cast: Cast, qos: 1 | 2, fault?: Fault, step = 0): Scene {
  const scene = new Scene(cast, qos);
  const { network, publisher, topicName } = scene;
  if (fault !== undefined) scene.inject(fault, step);
  network.joined(() => publisher.say(topicName, "1", qos).say(topicName, "2", qos));
  scene.comeBack();
  publisher.say(topicName, "3", qos);
  scene.recover();
  publisher.say(topicName, "4", qos);
  scene.recover();
  return scene;
}

/** All the ways in which a fault at some step breaks what was promised. */
function broken(cast: Cast, qos: 1 | 2, fault: Fault): string[] {
  const steps = play(cast, qos).network.passages;
  const found: string[] = [];
  for (let step = 1; step <= steps; step += 1) {
    const note = (what: string): number => found.push(`step ${step} ${fault.name}: ${what}`);
    try {
      const scene = play(cast, qos, fault, step);
      const received = scene.subscriber.payloads;
      const wanted = qos === 2 ? received : firstsOf(received);
      if (wanted.join() !== payloads.join()) note(`received ${received.join()}`);
      if (scene.publisher.acknowledged.join() !== payloads.join()) {
        note(`acknowledged ${scene.publisher.acknowledged.join()}`);
      }
      for (const complaint of scene.complaints()) note(complaint);
    } catch (error) {
      note(String(error));
    }
  }
  return found;
}

describe.each(casts)("With %s, whatever call or answer between shards", (_, cast) => {
  describe.each(faultsOf(cast).map((fault) => [fault.name, fault] as const))("%s", (__, fault) => {
    test("QoS 1 messages come at least once, in order, and are acknowledged in order", () => {
      expect(broken(cast, 1, fault)).toEqual([]);
    });

    test("QoS 2 messages come once, in order, and are acknowledged in order", () => {
      expect(broken(cast, 2, fault)).toEqual([]);
    });
  });
});
