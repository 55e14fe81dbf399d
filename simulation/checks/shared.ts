/** Shared Subscriptions: each message to one member of the whole namespace. */
import type { Interest, Message, Receipt } from "../history.ts";
import { matches, sharedPart, Violation } from "../history.ts";
import type { World } from "../world.ts";
import { isOwed, owes } from "./deliveries.ts";

interface Group {
  readonly filter: string;
  readonly interests: readonly Interest[];
  readonly members: ReadonlySet<number>;
}

export function checkShared(world: World): void {
  const { history, plan, shards } = world;
  const shared = history.interests.filter(({ filter }) => sharedPart(filter) !== undefined);
  const isCalm = plan.steps.every(({ type }) => type === "publish" || type === "stall");
  // What is in flight to a session without a row is in memory only.
  const wasLost = shards.some(({ memory }) => memory > 1);
  for (const [filter, interests] of Map.groupBy(shared, (interest) => interest.filter)) {
    const members = new Set(interests.map(({ client }) => client));
    const group: Group = { filter, interests, members };
    const receipts = Map.groupBy(
      history.receipts.filter(({ client }) => members.has(client)),
      ({ message }) => message,
    );
    const sessionEnded = [...members].some((client) => history.endedSessions.has(client));
    for (const message of history.messages.values()) {
      if (!matches(sharedPart(filter) ?? "", message.topicName)) continue;
      const got = receipts.get(message) ?? [];
      checkOnce(group, message, got, isCalm);
      const mayBeLost = sessionEnded && (message.qos === 2 || wasLost);
      if (got.length === 0 && !mayBeLost) checkOwed(group, message);
    }
  }
}

function checkOnce({ filter }: Group, message: Message, got: readonly Receipt[], isCalm: boolean): void {
  const counted = got.filter(({ isFresh, qos }) => isFresh && (qos === 2 || isCalm));
  if (counted.length <= 1) return;
  const who = counted.map(({ client }) => client).join(", ");
  throw new Violation("shared", `${message.id} comes to members ${who} of ${filter}`);
}

function checkOwed({ filter, interests }: Group, message: Message): void {
  if (!isOwed(message) || interests.some(({ qos }) => qos === 0)) return;
  const isOwing = (interest: Interest): boolean =>
    interest.endedAtMs === undefined && owes(interest, message);
  if (!interests.some(isOwing)) return;
  throw new Violation("shared", `${message.id} comes to no member of ${filter}`);
}
