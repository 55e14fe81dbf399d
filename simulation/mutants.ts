/** Planted bugs: each changes one thing of the broker, from outside, until it is taken back. */
import { AckQueue } from "../src/core/connection/ack-queue.ts";
import { Times } from "../src/core/limits.ts";
import { Output } from "../src/core/output.ts";
import { Inlet } from "../src/core/peers/inlet.ts";
import type { BatchHead } from "../src/core/peers/lane.ts";
import { Lane } from "../src/core/peers/lane.ts";
import type { RouteVersion } from "../src/core/peers/message.ts";
import { Outbox } from "../src/core/peers/outbox.ts";
import { Peers } from "../src/core/peers/peers.ts";
import { Watermark } from "../src/core/peers/watermark.ts";
import { MessageLog } from "../src/core/queue/message-log.ts";
import { ReasonCode } from "../src/core/reason-code.ts";
import { Outbound } from "../src/core/session/outbound.ts";
import { PeerDeliveries } from "../src/core/session/peer-deliveries.ts";
import { Session } from "../src/core/session/session.ts";
import { LocalSubscribers } from "../src/core/session/local-subscribers.ts";
import { SubscriberRoutes } from "../src/core/session/subscriber-routes.ts";
import { RetainedBlocks } from "../src/core/topics/retained-blocks.ts";
import { Routes } from "../src/core/topics/routes.ts";
import { TopicOwners } from "../src/core/topics/topic-owners.ts";
import { ShardProcess } from "./shard-process.ts";

export interface Mutant {
  readonly name: string;
  /** Plants the bug. Returns what takes it back. */
  plant(): () => void;
}

const everything: RouteVersion = { boot: Infinity, serial: Infinity };

/** Puts something else in the place of a method. */
function replaced<Target extends object, Name extends keyof Target>(
  target: Target,
  name: Name,
  make: (original: Target[Name]) => Target[Name],
): () => void {
  const original = Object.getOwnPropertyDescriptor(target, name);
  if (original === undefined) throw new Error(`There is no ${String(name)}`);
  Object.defineProperty(target, name, { ...original, value: make(original.value as Target[Name]) });
  return () => Object.defineProperty(target, name, original);
}

/** The same for a property that is computed. */
function computed<Target extends object, Name extends keyof Target>(
  target: Target,
  name: Name,
  make: (original: (this: Target) => Target[Name]) => (this: Target) => Target[Name],
): () => void {
  const original = Object.getOwnPropertyDescriptor(target, name);
  const get = original?.get as ((this: Target) => Target[Name]) | undefined;
  if (original === undefined || get === undefined) throw new Error(`There is no ${String(name)}`);
  Object.defineProperty(target, name, { ...original, get: make(get) });
  return () => Object.defineProperty(target, name, original);
}

const writing: readonly Mutant[] = [
  {
    name: "acknowledgements leave before the commit",
    plant: () =>
      replaced(
        ShardProcess.prototype,
        "carryOut",
        (original) =>
          function (this: ShardProcess, effect) {
            if (effect.type !== "commit") return original.call(this, effect);
            for (const after of effect.effects) this.carryOut(after);
            original.call(this, { ...effect, effects: [] });
          },
      ),
  },
  {
    name: "memory is kept after a defect",
    plant: () => replaced(ShardProcess.prototype, "forgetMemory", () => () => {}),
  },
  {
    name: "PUBREL and PUBCOMP leave before what they release is written",
    plant: () =>
      replaced(
        Output.prototype,
        "sendAfterCommit",
        (original) =>
          function (this: Output, connection, packet) {
            const isRelease = packet.type === "pubrel" || packet.type === "pubcomp";
            if (isRelease) this.send(connection, packet);
            else original.call(this, connection, packet);
          },
      ),
  },
  {
    name: "what an outbox is done with is not written",
    plant: () => unwritten(Outbox),
  },
  {
    name: "a watermark is not written",
    plant: () => unwritten(Watermark),
  },
  {
    name: "a flush forgets its last segment",
    plant: () => {
      let count = 0;
      return replaced(
        MessageLog.prototype,
        "flush",
        (original) =>
          function (this: MessageLog) {
            const writes = original.call(this);
            count += 1;
            return count % 7 === 0 ? { ...writes, segments: writes.segments.slice(0, -1) } : writes;
          },
      );
    },
  },
  {
    name: "a cleared retained message is not deleted",
    plant: () =>
      replaced(
        RetainedBlocks.prototype,
        "flush",
        (original) =>
          function (this: RetainedBlocks, changes) {
            return original.call(this, new Map([...changes].filter(([, one]) => one !== undefined)));
          },
      ),
  },
];

function unwritten(kind: typeof Outbox | typeof Watermark): () => void {
  return replaced(
    MessageLog.prototype,
    "noteChanged",
    (original) =>
      function (this: MessageLog, session) {
        if (!(session instanceof kind)) original.call(this, session);
      },
  );
}

const lanes: readonly Mutant[] = [
  {
    name: "a numbered message that comes again is taken for a new one",
    plant: () => replaced(Watermark.prototype, "outcomeOf", () => () => undefined),
  },
  {
    name: "a shard forgets the last batch that has come",
    plant: () =>
      replaced(
        Inlet.prototype,
        "admit",
        (original) =>
          function (this: Inlet, batch) {
            const admission = original.call(this, batch);
            return admission.type === "repeat" ? { type: "apply" } : admission;
          },
      ),
  },
  {
    name: "a batch that is older than the last, or leaves one out, is applied",
    plant: () =>
      replaced(
        Inlet.prototype,
        "admit",
        (original) =>
          function (this: Inlet, batch) {
            const admission = original.call(this, batch);
            return admission.type === "refuse" ? { type: "apply" } : admission;
          },
      ),
  },
  {
    name: "a late answer is taken for that of the batch under way",
    plant: () => {
      const underWay = new WeakMap<Lane, BatchHead>();
      const takeBack = [
        replaced(
          Lane.prototype,
          "next",
          (original) =>
            function (this: Lane, nowMs) {
              const head = original.call(this, nowMs);
              if (head !== undefined) underWay.set(this, head);
              return head;
            },
        ),
        replaced(
          Lane.prototype,
          "answered",
          (original) =>
            function (this: Lane, stream, sequence, answer, nowMs) {
              const head = underWay.get(this) ?? { stream, sequence };
              original.call(this, head.stream, head.sequence, answer, nowMs);
            },
        ),
      ];
      return () => takeBack.forEach((one) => one());
    },
  },
  {
    name: "a lane turns its items around",
    plant: () =>
      replaced(
        Peers.prototype,
        "called",
        (original) =>
          function (this: Peers, callId, batch, skip, nowMs) {
            original.call(this, callId, { ...batch, items: batch.items.toReversed() }, skip, nowMs);
          },
      ),
  },
  {
    name: "an outbox forgets what it has when the shard restarts",
    plant: () => replaced(Outbox.prototype, "onFound", () => () => {}),
  },
  {
    name: "what a lane moves to its outbox is lost",
    plant: () =>
      replaced(
        Outbox.prototype,
        "append",
        (original) =>
          function (this: Outbox, item) {
            const ordinal = original.call(this, item);
            if (ordinal !== undefined) this.done(ordinal);
            return ordinal;
          },
      ),
  },
  {
    name: "numbers of messages begin anew with every life of a shard",
    plant: () => {
      const counts = new WeakMap<Peers, number>();
      return replaced(
        Peers.prototype,
        "newOrigin",
        (original) =>
          function (this: Peers) {
            const sequence = (counts.get(this) ?? 0) + 1;
            counts.set(this, sequence);
            return { ...original.call(this), sequence };
          },
      );
    },
  },
  {
    name: "a retained page is read when it is asked for",
    plant: () =>
      replaced(
        Lane.prototype,
        "post",
        (original) =>
          function (this: Lane, item, ...rest) {
            original.call(this, typeof item === "function" ? item() : item, ...rest);
          },
      ),
  },
  {
    name: "nobody looks after an outbox",
    plant: () => replaced(Peers.prototype, "alarmDueAtMs", () => () => undefined),
  },
];

const routes: readonly Mutant[] = [
  {
    name: "an older answer removes a newer route",
    plant: () =>
      replaced(
        Routes.prototype,
        "remove",
        (original) =>
          function (this: Routes, filter, shard) {
            original.call(this, filter, shard, everything);
          },
      ),
  },
  {
    name: "a subscription is kept before its route is there",
    plant: () =>
      replaced(
        SubscriberRoutes.prototype,
        "open",
        (original) =>
          function (this: SubscriberRoutes, filter, isFirst, members, settle, nowMs) {
            settle({ reasonCode: ReasonCode.Success }, undefined);
            original.call(this, filter, isFirst, members, () => {}, nowMs);
          },
      ),
  },
  {
    name: "the route of the last subscription stays",
    plant: () => replaced(SubscriberRoutes.prototype, "close", () => () => {}),
  },
];

const clients: readonly Mutant[] = [
  {
    name: "acknowledgements leave as they are known, not in order",
    plant: () => {
      const takeBack = [
        replaced(AckQueue.prototype, "reserve", () => (isPuback) => ({ send: undefined, isPuback })),
        replaced(AckQueue.prototype, "settle", () => (_place, send) => send()),
      ];
      return () => takeBack.forEach((one) => one());
    },
  },
  {
    name: "an older connection stays when a newer one takes over",
    plant: () =>
      replaced(
        Output.prototype,
        "close",
        (original) =>
          function (this: Output, connection, code, reason) {
            if (!reason.startsWith("Another connection")) original.call(this, connection, code, reason);
          },
      ),
  },
  {
    name: "one more is in flight than the client takes",
    plant: () =>
      computed(
        Outbound.prototype,
        "inflightCount",
        (original) =>
          function (this: Outbound) {
            return original.call(this) - 1;
          },
      ),
  },
  {
    name: "a session does not expire",
    plant: () => computed(Session.prototype, "expiresAtMs", () => () => undefined),
  },
  {
    name: "a shard that wakes forgets which QoS 2 messages came from a client",
    plant: () =>
      replaced(
        Session.prototype,
        "restoreState",
        (original) =>
          function (this: Session, state) {
            original.call(this, { ...state, receivedQos2: [] });
          },
      ),
  },
  {
    name: "a Will is published twice",
    plant: () =>
      replaced(
        TopicOwners.prototype,
        "publish",
        (original) =>
          function (this: TopicOwners, publication, ...rest) {
            original.call(this, publication, ...rest);
            if (publication.message.topicName.startsWith("will/")) original.call(this, publication, ...rest);
          },
      ),
  },
  {
    name: "a reset fires every Will",
    plant: () => replaced(Times as { resetWillGraceMs: number }, "resetWillGraceMs", () => 0),
  },
  {
    name: "a shared message goes to two shards",
    plant: () =>
      replaced(
        PeerDeliveries.prototype,
        "handle",
        (original) =>
          function (this: PeerDeliveries, item, ...rest) {
            const outcome = original.call(this, item, ...rest);
            if (item.type !== "deliverShared" || item.tried.length > 0) return outcome;
            return { ...outcome, reasonCode: ReasonCode.NoMatchingSubscribers };
          },
      ),
  },
  {
    name: "a shared message goes to two members of a shard",
    plant: () =>
      replaced(
        LocalSubscribers.prototype,
        "deliverShared",
        (original) =>
          function (this: LocalSubscribers, ...rest) {
            original.call(this, ...rest);
            return original.call(this, ...rest);
          },
      ),
  },
];

export const mutants: readonly Mutant[] = [...writing, ...lanes, ...routes, ...clients];
