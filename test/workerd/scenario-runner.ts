import type { ProtocolVersion } from "../../src/core/packet.ts";
import { ScenarioClient, type ClientSetup } from "./scenario-client.ts";
import { expectNothing, type Step } from "./scenario-steps.ts";
import { TestObject } from "./test-object.ts";

/** How often a message may reach the user of a client, however its way was disturbed. */
export type Count = readonly [min: number, max: number];
export const exactlyOnce: Count = [1, 1];
export const atLeastOnce: Count = [1, Infinity];
export const atMostOnce: Count = [0, 1];
export const never: Count = [0, 0];

export interface Scenario {
  readonly title: string;
  readonly versions: readonly ProtocolVersion[];
  readonly clients: Readonly<Record<string, ClientSetup>>;
  readonly steps: readonly Step[];
  /** By client, then by payload. */
  readonly outcome: Readonly<Record<string, Readonly<Record<string, Count>>>>;
}

export const faults = ["evicted, sockets kept", "evicted, sockets lost", "aborted"] as const;
export type Fault = (typeof faults)[number];

/** Wills wait this long for a client that a reset cut off, and an alarm may slip. */
const graceSec = 40;

/** A scenario under way on an object of its own. */
export class ScenarioRun {
  readonly object = new TestObject();
  readonly version: ProtocolVersion;
  readonly #scenario: Scenario;
  readonly #clients: Map<string, ScenarioClient>;
  readonly #lost = new Set<string>();
  #isAutomatic = false;

  constructor(scenario: Scenario, version: ProtocolVersion) {
    this.#scenario = scenario;
    this.version = version;
    const entries = Object.entries(scenario.clients);
    this.#clients = new Map(
      entries.map(([name, setup]) => [name, new ScenarioClient(name, setup, this.object, version)]),
    );
  }

  /** Connections were lost: clients have come back and answer by themselves. */
  get isAutomatic(): boolean {
    return this.#isAutomatic;
  }

  /** All that the clients got. */
  get transcript(): Record<string, string[]> {
    return Object.fromEntries([...this.#clients].map(([name, { transcript }]) => [name, transcript]));
  }

  client(name: string): ScenarioClient {
    const client = this.#clients.get(name);
    if (client === undefined) throw new Error(`the scenario has no ${name}`);
    return client;
  }

  /** Whether the fault cut the client off. */
  wasLost(name: string): boolean {
    return this.#lost.has(name);
  }

  /** Runs all steps, the fault before the one of that index. False when the object cannot be evicted there. */
  async run(fault?: Fault, faultIndex = -1): Promise<boolean> {
    const { steps } = this.#scenario;
    for (const [index, step] of steps.entries()) {
      if (index === faultIndex && fault !== undefined && !(await this.#meet(fault))) return false;
      await step.run(this);
      await this.#quiesce();
    }
    if (faultIndex === steps.length && fault !== undefined && !(await this.#meet(fault))) return false;
    await this.#finish();
    return true;
  }

  async end(): Promise<void> {
    for (const client of this.#clients.values()) if (client.isConnected) await client.vanish();
  }

  async #finish(): Promise<void> {
    await this.#quiesce();
    if (this.#isAutomatic) {
      await this.object.advance(graceSec);
      await this.#quiesce();
    } else {
      for (const client of this.#clients.values()) if (client.isConnected) expectNothing(client);
    }
    for (const [name, counts] of Object.entries(this.#scenario.outcome)) {
      const { deliveries } = this.client(name);
      for (const [payload, [min, max]] of Object.entries(counts)) {
        const count = deliveries.filter((delivered) => delivered === payload).length;
        if (count < min || count > max) throw new Error(`${name} got "${payload}" ${count} times`);
      }
    }
  }

  async #meet(fault: Fault): Promise<boolean> {
    // What is in memory only keeps the object awake: the runtime evicts no object with a pending timer.
    if (fault !== "aborted" && this.object.instruments.isAwake) return false;
    if (fault === "evicted, sockets kept") {
      await this.object.evict("kept");
      return true;
    }
    if (fault === "aborted") {
      await this.object.abort();
    } else {
      await this.object.evict("lost");
    }
    this.#lose();
    if (fault === "evicted, sockets lost") await this.#runAlarmFirst();
    for (const name of this.#lost) {
      const client = this.client(name);
      if (client.setup.returns !== false) await client.return();
    }
    await this.#quiesce();
    return true;
  }

  #lose(): void {
    this.#isAutomatic = true;
    for (const [name, client] of this.#clients) {
      if (!client.isConnected) continue;
      client.lose();
      this.#lost.add(name);
    }
  }

  /** The alarm of the new life may come before the clients or after them. */
  async #runAlarmFirst(): Promise<void> {
    await this.object.stub.wake();
    await this.object.advance(0);
  }

  /** Waits until all has arrived; once the clients are automatic, until all is answered. */
  async #quiesce(): Promise<void> {
    const clients = [...this.#clients.values()];
    for (let isBusy = true; isBusy;) {
      await this.#pingAll(clients);
      await this.#pingAll(clients);
      isBusy = false;
      if (!this.#isAutomatic) return;
      for (const client of clients) if (await client.takeAll()) isBusy = true;
    }
  }

  /** The first round tells that the server has handled everything, the second that its output has arrived. */
  async #pingAll(clients: readonly ScenarioClient[]): Promise<void> {
    await Promise.all(
      clients.filter(({ isConnected }) => isConnected).map(({ connection }) => connection.ping()),
    );
  }
}
