import { describe, expect, test } from "vitest";
import { SimulatedClient } from "../simulated-client.ts";
import { Publisher, Returning } from "./actors.ts";
import type { Cast, Fault } from "./scenes.ts";
import { casts, faultsOf } from "./scenes.ts";
import { isAtRest, Network, routesOf } from "./network.ts";

const options = { maximumQos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;

/** Somebody who subscribes and unsubscribes, and asks again when the answer was lost. */
class Undecided {
  readonly network: Network;
  readonly subscriber: Returning;
  readonly publisher: Publisher;
  readonly topicName: string;
  /** Payloads that were published while the subscription was certain. */
  readonly owed: string[] = [];

  constructor(cast: Cast, fault?: Fault, step = 0) {
    this.network = new Network();
    this.topicName = this.network.topicOn(cast.owner);
    const clientId = this.network.clientOn(cast.subscriber, "subscriber");
    this.subscriber = new Returning(this.network, clientId).comeBack();
    const publisherId = this.network.clientOn(cast.publisher, "publisher");
    this.publisher = new Publisher(this.network, publisherId).comeBack();
    this.publisher.say(this.topicName, "kept", 1, { retain: true });
    this.network.advance(60_000);
    this.network.passages = 0;
    const { network } = this;
    if (fault === undefined) return;
    network.rule = (passage) => (passage.number === step ? fault.strike(network, passage) : "pass");
  }

  /** Until it is granted. */
  subscribe(topicFilter: string): void {
    this.#insist("suback", (packetIdentifier) => {
      const requests = [{ topicFilter, ...options }];
      this.subscriber.send({ type: "subscribe", packetIdentifier, requests });
    });
  }

  unsubscribe(topicFilter: string): void {
    this.#insist("unsuback", (packetIdentifier) => {
      this.subscriber.send({ type: "unsubscribe", packetIdentifier, topicFilters: [topicFilter] });
    });
  }

  publish(payload: string, isOwed: boolean): void {
    this.publisher.comeBack().say(this.topicName, payload, 2);
    if (isOwed) this.owed.push(payload);
  }

  rest(): void {
    for (const ms of [200, 10_000, 600_000]) {
      this.publisher.comeBack();
      this.subscriber.comeBack();
      this.network.advance(ms);
      this.network.release();
      this.network.repeat();
    }
    this.publisher.comeBack();
    this.subscriber.comeBack();
    this.network.advance(60_000);
  }

  #insist(type: "suback" | "unsuback", ask: (packetIdentifier: number) => void): void {
    for (let tries = 0; tries < 10; tries += 1) {
      this.subscriber.comeBack();
      const packetIdentifier = this.subscriber.nextIdentifier();
      ask(packetIdentifier);
      for (let count = 0; count < 7; count += 1) {
        const answer = this.subscriber.all(type).find((one) => one.packetIdentifier === packetIdentifier);
        if (answer !== undefined && (answer.reasonCodes[0] ?? 0) < 0x80) return;
        if (answer !== undefined || !this.subscriber.isConnected) break;
        this.network.advance(1_000);
      }
    }
    throw new Error(`no ${type}`);
  }
}

function play(
  cast: Cast,
  topicFilterOf: (topicName: string) => string,
  fault?: Fault,
  step?: number,
): Undecided {
  const undecided = new Undecided(cast, fault, step);
  const topicFilter = topicFilterOf(undecided.topicName);
  undecided.subscribe(topicFilter);
  undecided.publish("1", true);
  // What has not come by then, nobody wants.
  undecided.rest();
  undecided.unsubscribe(topicFilter);
  undecided.publish("2", false);
  undecided.subscribe(topicFilter);
  undecided.publish("3", true);
  undecided.rest();
  return undecided;
}

/** All the ways in which a fault at some step breaks what was promised. */
function broken(cast: Cast, topicFilterOf: (topicName: string) => string, fault: Fault): string[] {
  const steps = play(cast, topicFilterOf).network.passages;
  const found: string[] = [];
  for (let step = 1; step <= steps; step += 1) {
    const note = (what: string): number => found.push(`step ${step} ${fault.name}: ${what}`);
    try {
      const { network, subscriber, owed } = play(cast, topicFilterOf, fault, step);
      const live = subscriber.payloads.filter((payload) => payload !== "kept" && payload !== "2");
      if (live.join() !== owed.join()) note(`received ${live.join()}`);
      if (!subscriber.payloads.includes("kept")) note("nothing retained");
      const { actual, expected } = routesOf(network);
      if (actual.join() !== expected.join()) note(`routes are ${actual.join()}, not ${expected.join()}`);
      if (!isAtRest(network)) note("not at rest");
    } catch (error) {
      note(String(error));
    }
  }
  return found;
}

describe.each(casts)("With %s, whatever call or answer", (_, cast) => {
  test.each(faultsOf(cast).map((fault) => [fault.name, fault] as const))(
    "%s, who has SUBACK gets what is published, and the routes are those of the subscriptions",
    (__, fault) => {
      expect(broken(cast, (topicName) => topicName, fault)).toEqual([]);
      expect(broken(cast, () => "#", fault)).toEqual([]);
      expect(
        broken(cast, (topicName) => `$share/group/${topicName}`, fault).filter(
          (one) => !one.endsWith("retained"),
        ),
      ).toEqual([]);
    },
  );
});

describe("A guest without a lasting session", () => {
  test("leaves no route, whatever call or answer of its coming and going is lost", () => {
    for (let step = 1; step <= 16; step += 1) {
      for (const verdict of ["lose", "vanish", "twice", "hold"] as const) {
        const network = new Network();
        const guest = SimulatedClient.connected(network, { clientId: network.clientOn(1) });
        network.rule = ({ number }) => (number === step ? verdict : "pass");
        for (const topicFilter of ["#", network.topicOn(2), `$share/g/${network.topicOn(3)}`]) {
          const requests = [{ topicFilter, ...options }];
          guest.send({ type: "subscribe", packetIdentifier: guest.nextIdentifier(), requests });
        }
        network.advance(10);
        guest.lose();
        network.advance(100_000);
        network.release();
        network.repeat();
        network.advance(600_000);
        expect(routesOf(network).actual).toEqual([]);
        expect(isAtRest(network)).toBe(true);
      }
    }
  });
});
