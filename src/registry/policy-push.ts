import type { Policy } from "../core/access/policy.ts";
import type { PolicyStore } from "./policy-store.ts";

/** What a shard does with a policy. */
export interface PolicyTaker {
  /** Returns the version that holds there now. */
  setPolicy(policy: Policy): Promise<number>;
}

export interface PolicyPushPorts {
  readonly shards: number;
  readonly shard: (index: number) => PolicyTaker;
  readonly setAlarm: (delayMs: number) => void;
  readonly clearAlarm: () => void;
}

const callsAtOnce = 64;
const callMsMax = 5_000;
const backoffMsMin = 1_000;
const backoffMsMax = 30_000;

/** The first try is made at once; the alarm is for the case that the object does not live to see its end. */
export const guardMs = 15_000;

/** Tells every shard the policy, until each has taken it. */
export class PolicyPush {
  readonly #store: PolicyStore;
  readonly #ports: PolicyPushPorts;
  #rounds: Promise<unknown> = Promise.resolve();

  constructor(store: PolicyStore, ports: PolicyPushPorts) {
    this.#store = store;
    this.#ports = ports;
  }

  /** To be called in the turn that has written the policy, so that both are kept or none. */
  guard(): void {
    this.#ports.setAlarm(guardMs);
  }

  /** One round, after those that are under way. How many shards are left. Never rejects. */
  push(): Promise<number> {
    const round = this.#rounds.then(() => this.#round());
    this.#rounds = round;
    return round;
  }

  async #round(): Promise<number> {
    const { policy, pendingShards, attempts } = this.#store.distribution;
    const left = await this.#tell(policy, pendingShards);
    // A newer one has its own rounds.
    if (this.#store.policy.version !== policy.version) return left.length;
    if (pendingShards.length > 0) this.#store.leave(left);
    if (left.length === 0) this.#ports.clearAlarm();
    else this.#ports.setAlarm(Math.min(backoffMsMin * 2 ** attempts, backoffMsMax));
    return left.length;
  }

  /** Those that have not taken it. */
  async #tell(policy: Policy, shards: readonly number[]): Promise<number[]> {
    // The settings may have fewer shards by now.
    const waiting = shards.filter((index) => index < this.#ports.shards).values();
    const left: number[] = [];
    const tellInTurn = async (): Promise<void> => {
      for (const index of waiting) if (!(await this.#isTaken(index, policy))) left.push(index);
    };
    await Promise.all(Array.from({ length: callsAtOnce }, tellInTurn));
    return left.toSorted((one, other) => one - other);
  }

  async #isTaken(index: number, policy: Policy): Promise<boolean> {
    let timer!: ReturnType<typeof setTimeout>;
    const timeout = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), callMsMax);
    });
    try {
      const version = this.#ports.shard(index).setPolicy(policy);
      return await Promise.race([version.then((held) => held >= policy.version), timeout]);
    } catch {
      return false;
    } finally {
      clearTimeout(timer);
    }
  }
}
