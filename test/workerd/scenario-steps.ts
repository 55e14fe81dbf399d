/** What can happen in a scenario, a step each. */
import type { ConnectPacket, QoS } from "../../src/core/packet.ts";
import type { ReceivedPacket } from "../codec/server-decode.ts";
import { publishPacket, subscribePacket, type PublishOptions, type SubscribeOptions } from "./packets.ts";
import type { ScenarioClient } from "./scenario-client.ts";
import type { ScenarioRun } from "./scenario-runner.ts";

export interface Step {
  readonly title: string;
  /** The client that sends something in this step. */
  readonly sender?: string;
  /** Nothing reaches the server: a client only looks at what it has got. */
  readonly isSilent?: boolean;
  run(run: ScenarioRun): Promise<void> | void;
}

/**
 * A step of one client. Those `byHand` are left out once a fault has cut the connections: then the clients answer by
 * themselves. So are the steps of a client that did not come back.
 */
function stepOf(
  name: string,
  title: string,
  run: (client: ScenarioClient) => Promise<unknown> | void,
  byHand = false,
): Step {
  return {
    title: `${name} ${title}`,
    sender: name,
    run: async (scenario) => {
      const client = scenario.client(name);
      if (scenario.isAutomatic && (byHand || !client.isConnected)) return;
      await run(client);
    },
  };
}

/** A client looks at what it has got; left out once a fault has cut the connections. */
function silentStep(name: string, title: string, run: (run: ScenarioRun) => Promise<unknown>): Step {
  return {
    title: `${name} ${title}`,
    isSilent: true,
    run: async (scenario) => {
      if (!scenario.isAutomatic) await run(scenario);
    },
  };
}

export function connects(name: string, sessionPresent = false, options?: Partial<ConnectPacket>): Step {
  return {
    title: `${name} connects`,
    sender: name,
    run: (run) => {
      const client = run.client(name);
      return run.isAutomatic && client.setup.returns === false && run.wasLost(name)
        ? undefined
        : client.begin(sessionPresent, options);
    },
  };
}

export const resumes = (name: string): Step => connects(name, true);

export function disconnects(name: string, reasonCode = 0, sessionExpiryIntervalSec?: number): Step {
  return stepOf(name, "disconnects", (client) => client.disconnect(reasonCode, sessionExpiryIntervalSec));
}

export const vanishes = (name: string): Step => stepOf(name, "vanishes", (client) => client.vanish());

export function subscribes(
  name: string,
  topicFilter: string,
  qos: QoS,
  options: SubscribeOptions = {},
): Step {
  return stepOf(name, `subscribes to ${topicFilter}`, (client) =>
    client.subscribe(subscribePacket(topicFilter, qos, options)),
  );
}

export function unsubscribes(name: string, topicFilter: string): Step {
  return stepOf(name, `unsubscribes from ${topicFilter}`, (client) => client.unsubscribe(topicFilter));
}

export function publishes(
  name: string,
  topicName: string,
  payload: string,
  options: PublishOptions = {},
): Step {
  return stepOf(name, `publishes "${payload}"`, (client) =>
    client.publish(publishPacket(topicName, payload, options)),
  );
}

export function publishesFirstHalf(name: string, topicName: string, payload: string, qos: QoS): Step {
  return stepOf(name, `publishes the first half of "${payload}"`, (client) =>
    client.publishFirstHalf(publishPacket(topicName, payload, { qos })),
  );
}

export const publishesRest = (name: string): Step =>
  stepOf(name, "publishes the rest", (client) => client.publishRest());

export function takes(name: string, type: ReceivedPacket["type"], payload?: string): Step {
  return silentStep(name, `takes ${type} ${payload ?? ""}`, (run) => run.client(name).take(type, payload));
}

export function answers(name: string, type: "puback" | "pubrec" | "pubrel" | "pubcomp"): Step {
  return stepOf(name, `answers ${type}`, (client) => client.answer(type), true);
}

/** The client takes a QoS 2 message, in the four steps of it. */
export function takesQos2(name: string, payload: string): Step[] {
  return [
    takes(name, "publish", payload),
    answers(name, "pubrec"),
    takes(name, "pubrel"),
    answers(name, "pubcomp"),
  ];
}

/** The client gets its QoS 2 message acknowledged, in the three steps that follow PUBLISH. */
export function finishesQos2(name: string): Step[] {
  return [takes(name, "pubrec"), answers(name, "pubrel"), takes(name, "pubcomp")];
}

/** The client takes a QoS 1 message. */
export function takesQos1(name: string, payload: string): Step[] {
  return [takes(name, "publish", payload), answers(name, "puback")];
}

/** The server has sent DISCONNECT with that Reason Code (to version 5) and closed. */
export function isSentAway(name: string, reasonCode: number): Step {
  return {
    title: `${name} is sent away`,
    run: async (run) => {
      if (run.isAutomatic) return;
      const client = run.client(name);
      if (run.version === 5) {
        const packet = await client.connection.next("disconnect");
        if (packet.reasonCode !== reasonCode) throw new Error(`${name} got ${packet.reasonCode}`);
      }
      await client.connection.closed;
    },
  };
}

export function hasNothing(name: string): Step {
  return silentStep(name, "has got nothing more", async (run) => {
    await run.settle();
    expectNothing(run.client(name));
  });
}

export function expectNothing(client: ScenarioClient): void {
  if (!client.isConnected || client.connection.untaken.length === 0) return;
  throw new Error(`${client.name} got more: ${client.connection.untaken.map(({ type }) => type).join()}`);
}

/** Time goes by; alarms run when they are due. */
export function passes(sec: number): Step {
  return { title: `${sec} s pass`, run: (run) => run.namespace.advance(sec) };
}
