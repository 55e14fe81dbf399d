import { binary, will } from "./packets.ts";
import { atLeastOnce, exactlyOnce, never, type Scenario } from "./scenario-runner.ts";
import {
  connects,
  disconnects,
  hasNothing,
  isSentAway,
  passes,
  resumes,
  subscribes,
  takes,
  takesQos1,
  takesQos2,
  vanishes,
} from "./scenario-steps.ts";

const disconnectWithWill = 0x04;
const sessionTakenOver = 0x8e;
const keepAliveTimeout = 0x8d;
const witness = { isPersistent: true };
const watches = [connects("bob"), subscribes("bob", "wills/#", 2)];

export const willScenarios: readonly Scenario[] = [
  {
    title: "[MQTT-3.1.2-8] the Will of a client that vanishes is published",
    versions: [4, 5],
    clients: { alice: { connect: { will: will("wills/a", { qos: 2 }) }, returns: false }, bob: witness },
    steps: [...watches, connects("alice"), vanishes("alice"), ...takesQos2("bob", "will")],
    outcome: { bob: { will: exactlyOnce } },
  },
  {
    title: "[MQTT-3.14.4-3] the Will of a client that takes its leave is discarded",
    versions: [5],
    clients: { alice: { connect: { will: will("wills/a") } }, bob: witness },
    steps: [...watches, connects("alice"), disconnects("alice"), passes(60), hasNothing("bob")],
    outcome: { bob: { will: never } },
  },
  {
    title: "[MQTT-3.1.2-8] a client may ask for its Will to be published as it leaves",
    versions: [5],
    clients: { alice: { connect: { will: will("wills/a", { qos: 2 }) } }, bob: witness },
    steps: [
      ...watches,
      connects("alice"),
      disconnects("alice", disconnectWithWill),
      ...takesQos2("bob", "will"),
    ],
    outcome: { bob: { will: exactlyOnce } },
  },
  {
    title: "[MQTT-3.1.2-15] a retained Will is kept for those who come later",
    versions: [5],
    clients: {
      alice: {
        connect: { will: will("wills/a", { retain: true, payload: binary("gone") }) },
        returns: false,
      },
      bob: witness,
      carol: {},
    },
    steps: [
      ...watches,
      connects("alice"),
      vanishes("alice"),
      ...takesQos1("bob", "gone"),
      passes(60),
      connects("carol"),
      subscribes("carol", "wills/a", 0),
      takes("carol", "publish", "gone"),
    ],
    outcome: { bob: { gone: atLeastOnce }, carol: { gone: atLeastOnce } },
  },
  {
    title: "a Will waits for its Will Delay Interval",
    versions: [5],
    clients: {
      alice: {
        connect: {
          will: will("wills/a", { qos: 2, willDelayIntervalSec: 10 }),
          sessionExpiryIntervalSec: 100,
        },
        isPersistent: true,
        returns: false,
      },
      bob: witness,
    },
    steps: [
      ...watches,
      connects("alice"),
      vanishes("alice"),
      passes(9),
      hasNothing("bob"),
      passes(6),
      ...takesQos2("bob", "will"),
      passes(100),
      hasNothing("bob"),
    ],
    outcome: { bob: { will: exactlyOnce } },
  },
  {
    title: "a Will goes out when the session ends before the Will Delay Interval",
    versions: [5],
    clients: {
      alice: {
        connect: {
          will: will("wills/a", { qos: 2, willDelayIntervalSec: 1000 }),
          sessionExpiryIntervalSec: 5,
        },
        isPersistent: true,
        returns: false,
      },
      bob: witness,
    },
    steps: [...watches, connects("alice"), vanishes("alice"), passes(10), ...takesQos2("bob", "will")],
    outcome: { bob: { will: exactlyOnce } },
  },
  {
    title: "[MQTT-3.1.3-9] a client that returns in time takes its delayed Will back",
    versions: [5],
    clients: {
      alice: {
        connect: { will: will("wills/a", { willDelayIntervalSec: 20 }), sessionExpiryIntervalSec: 1000 },
        isPersistent: true,
      },
      bob: witness,
    },
    steps: [
      ...watches,
      connects("alice"),
      vanishes("alice"),
      passes(10),
      resumes("alice"),
      passes(60),
      hasNothing("bob"),
      disconnects("alice"),
      passes(60),
      hasNothing("bob"),
    ],
    outcome: { bob: { will: never } },
  },
  {
    title: "[MQTT-3.1.4-3] a connection that another one takes over leaves its Will",
    versions: [5],
    clients: {
      first: { clientId: "alice", isPersistent: true, connect: { will: will("wills/a") } },
      second: { clientId: "alice", isPersistent: true },
      bob: witness,
    },
    steps: [
      ...watches,
      connects("first"),
      resumes("second"),
      isSentAway("first", sessionTakenOver),
      ...takesQos1("bob", "will"),
      disconnects("second"),
    ],
    outcome: { bob: { will: atLeastOnce } },
  },
  {
    title: "[MQTT-3.1.2-22] a client that falls silent is sent away and its Will published",
    versions: [4, 5],
    clients: {
      alice: { connect: { will: will("wills/a", { qos: 2 }), keepAliveSec: 10 } },
      bob: witness,
    },
    steps: [
      ...watches,
      connects("alice"),
      passes(14),
      passes(14),
      passes(20),
      isSentAway("alice", keepAliveTimeout),
      ...takesQos2("bob", "will"),
    ],
    outcome: { bob: { will: exactlyOnce } },
  },
];
