import { vi } from "vitest";
import type { ProtocolVersion } from "../../src/core/packet.ts";
import { ScenarioClient, type ClientSetup } from "./scenario-client.ts";
import { expectNothing, type Step } from "./scenario-steps.ts";
import { TestNamespace } from "./test-namespace.ts";

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

/** Wills wait this long for a client that a reset cut off, and an alarm may slip. */
const graceSec = 40;

/** A scenario under way in a namespace of its own. */
export class ScenarioRun {
  readonly namespace: TestNamespace;
  readonly version: ProtocolVersion;
  readonly #scenario: Scenario;
  readonly #clients: Map<string, ScenarioClient>;
  readonly #lost = new Set<string>();
  #isAutomatic = false;
  #nextIndex = 0;

  constructor(scenario: Scenario, version: ProtocolVersion, shardCount = 1) {
    this.#scenario = scenario;
    this.version = version;
    this.namespace = new TestNamespace(shardCount);
    const entries = Object.entries(scenario.clients);
    this.#clients = new Map(
      entries.map(([name, setup]) => {
        const shard = this.namespace.shardOf(setup.clientId ?? name);
        return [name, new ScenarioClient(name, setup, shard, version)];
      }),
    );
  }

  /** Connections were lost: clients have come back and answer by themselves. */
  get isAutomatic(): boolean {
    return this.#isAutomatic;
  }

  /** All that the clients got. */
  get transcript(): Record<string, string[]> {
    return Object.fromEntries([...this.#clients].map(([name, { transcript }]) => [name, [...transcript]]));
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

  /** Runs the steps up to the one of that index. */
  async runTo(endIndex: number): Promise<void> {
    const { steps } = this.#scenario;
    while (this.#nextIndex < endIndex) {
      const step = steps[this.#nextIndex] as Step;
      await this.namespace.during(step.run(this));
      if (this.#isAutomatic && step.isSilent !== true) await this.settle();
      else if (step.sender !== undefined) await this.#ping([this.client(step.sender)]);
      this.#nextIndex += 1;
    }
    await this.settle();
  }

  /** Runs the other steps, and checks what came of them all. */
  async finish(): Promise<void> {
    await this.runTo(this.#scenario.steps.length);
    if (this.#isAutomatic) {
      await this.namespace.advance(graceSec);
      await this.settle();
    } else {
      for (const client of this.#clients.values()) expectNothing(client);
    }
    this.#checkOutcome();
  }

  /** What is in memory only keeps an object awake: the runtime evicts no object with a pending timer. */
  get canBeEvicted(): boolean {
    return !this.namespace.isAwake;
  }

  /** All connections to these shards are about to go; from then on the clients act by themselves. */
  loseSockets(shards = this.namespace.shards): void {
    this.#isAutomatic = true;
    for (const [name, client] of this.#clients) {
      if (!client.isConnected || !shards.includes(client.object)) continue;
      client.lose();
      this.#lost.add(name);
    }
  }

  /** Those who lost their connection come back, unless the scenario says that they don't. */
  async comeBack(): Promise<void> {
    for (const name of this.#lost) {
      const client = this.client(name);
      if (client.setup.returns !== false) await client.return();
    }
    await this.settle();
  }

  #checkOutcome(): void {
    for (const [name, counts] of Object.entries(this.#scenario.outcome)) {
      const { deliveries } = this.client(name);
      for (const [payload, [min, max]] of Object.entries(counts)) {
        const count = deliveries.filter((delivered) => delivered === payload).length;
        if (count < min || count > max) throw new Error(`${name} got "${payload}" ${count} times`);
      }
    }
  }

  /** Waits until all has arrived; once the clients are automatic, until all is answered. */
  async settle(): Promise<void> {
    const clients = [...this.#clients.values()];
    // What one client sent in a round may have reached another one only after its answer in that round.
    for (let quietRounds = 0; quietRounds < 2;) {
      await this.#ping(clients);
      quietRounds += 1;
      if (!this.#isAutomatic) continue;
      for (const client of clients) if (await client.takeAll()) quietRounds = 0;
    }
  }

  /** By the answers the server has handled all that was sent, and what it sent before them has arrived. */
  async #ping(clients: Iterable<ScenarioClient>): Promise<void> {
    await this.#pingEach(clients);
    if (this.namespace.shards.length === 1) return;
    // What went by way of other shards may be for anybody.
    await this.namespace.quiet();
    await this.#pingEach(this.#clients.values());
  }

  async #pingEach(clients: Iterable<ScenarioClient>): Promise<void> {
    const connected = [...clients].filter(({ isConnected }) => isConnected);
    await Promise.all(
      connected.map((client) =>
        client.isInsidePacket ? vi.waitUntil(() => !this.canBeEvicted) : client.connection.ping(),
      ),
    );
  }
}
