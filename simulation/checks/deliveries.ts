/** What subscribers are owed, and what they are not to get. */
import type { History, Interest, Message, Receipt } from "../history.ts";
import { matches, sharedPart, Violation } from "../history.ts";

/** Between the last sending of a message and its coming to a client lies at most this, besides its expiry. */
const slackMs = 10_000;

export function checkDeliveries(history: History): void {
  const receipts = Map.groupBy(history.receipts, ({ client }) => client);
  const interests = Map.groupBy(history.interests, ({ client }) => client);
  for (const [client, got] of receipts) {
    checkWanted(got, interests.get(client) ?? []);
    checkOnce(got, client);
    if (!history.mayRepeat) checkQos0(got, client);
    // Members of Shared Subscriptions take over what others have not had.
    if (!history.planOf(client).isMember) checkOrder(got, interests.get(client) ?? [], client);
  }
  for (const [client, own] of interests) checkOwed(history, client, own, receipts.get(client) ?? []);
}

/** Nothing but what the session has asked for: nothing of an ended session, nothing expired. */
function checkWanted(receipts: readonly Receipt[], interests: readonly Interest[]): void {
  for (const { message, epoch, client, atMs, dup, retain } of receipts) {
    const isWanted = interests.some(
      ({ epoch: of, filter, noLocal }) =>
        of === epoch &&
        matches(sharedPart(filter) ?? filter, message.topicName) &&
        // What is retained is everybody's.
        !(noLocal && message.publisher === client && message.willOf === undefined && !retain),
    );
    if (!isWanted)
      throw new Violation("wanted", `client ${client} gets ${message.id}, which it has not asked for`);
    const { expirySec, lastSentAtMs = 0 } = message;
    if (expirySec !== undefined && !dup && atMs > lastSentAtMs + expirySec * 1000 + slackMs) {
      throw new Violation("message expiry", `client ${client} gets ${message.id}, which has expired`);
    }
  }
}

/** In a session; to the next one a message may come that was on its way still. */
function checkOnce(receipts: readonly Receipt[], client: number): void {
  const seen = new Set<string>();
  for (const { message, epoch, qos, retain, isFresh } of receipts) {
    if (qos !== 2 || retain || !isFresh) continue;
    const key = `${epoch} ${message.id}`;
    if (seen.has(key)) throw new Violation("QoS 2", `client ${client} gets ${message.id} twice`);
    seen.add(key);
  }
}

/** As long as no shard has lost its memory, what may get lost comes once at most. */
function checkQos0(receipts: readonly Receipt[], client: number): void {
  const seen = new Set<Message>();
  for (const { message, retain } of receipts) {
    if (message.qos !== 0 || retain) continue;
    if (seen.has(message)) throw new Violation("QoS 0", `client ${client} gets ${message.id} twice`);
    seen.add(message);
  }
}

/** [MQTT-4.6.0-6] per publisher, topic and QoS; what comes again does not count. */
function checkOrder(receipts: readonly Receipt[], interests: readonly Interest[], client: number): void {
  const newest = new Map<string, Message>();
  const seen = new Set<string>();
  for (const { message, epoch, qos, retain, dup } of receipts) {
    const { publisher, topicName } = message;
    const line = [epoch, publisher, message.epoch, topicName, message.qos, qos].join(" ");
    // What has expired while it waited may come again from its publisher.
    if (message.willOf !== undefined || message.expirySec !== undefined) continue;
    // What an earlier subscriber was sent may be repeated to a later one.
    const isMeant = interests.some((interest) => interest.epoch === epoch && isBefore(interest, message));
    if (!retain && !isMeant) continue;
    const known = newest.get(line);
    const isRepeated = seen.has(`${epoch} ${message.id}`);
    if (!retain) seen.add(`${epoch} ${message.id}`);
    // What is retained is never older than what was live before it; it may be newer than what is live behind it.
    const counts = retain ? !dup : !isRepeated;
    if (counts && known !== undefined && known.number > message.number) {
      throw new Violation("order", `client ${client} gets ${message.id} after ${known.id}`);
    }
    if (!retain && (known === undefined || known.number < message.number)) newest.set(line, message);
  }
}

function isBefore(
  { sinceMs = Infinity, endedAtMs = Infinity, filter }: Interest,
  { sentAtMs = 0, topicName }: Message,
): boolean {
  return sinceMs <= sentAtMs && sentAtMs <= endedAtMs && matches(filter, topicName);
}

/** What was acknowledged comes to all who were subscribed before it was sent and have been ever since. */
function checkOwed(
  history: History,
  client: number,
  interests: readonly Interest[],
  receipts: readonly Receipt[],
): void {
  const got = new Set(receipts.map(({ message }) => message));
  const lasting = interests.filter(
    ({ filter, endedAtMs, sinceMs }) =>
      endedAtMs === undefined && sinceMs !== undefined && sharedPart(filter) === undefined,
  );
  if (lasting.length === 0) return;
  for (const message of history.messages.values()) {
    if (!isOwed(message) || got.has(message)) continue;
    const owing = lasting.find((interest) => owes(interest, message));
    if (owing === undefined) continue;
    throw new Violation(`QoS ${message.qos}`, `client ${client} never gets ${message.id} by ${owing.filter}`);
  }
}

/** The broker has answered for it. */
export function isOwed(message: Message): boolean {
  const isLasting = message.expirySec === undefined && !message.isClearing && message.qos > 0;
  return isLasting && message.ackedAtMs !== undefined && message.isRefused === undefined;
}

export function owes(
  { client, filter, qos, noLocal, sinceMs = Infinity }: Interest,
  message: Message,
): boolean {
  const { sentAtMs = -Infinity } = message;
  return (
    qos > 0 &&
    sinceMs < sentAtMs &&
    !(noLocal && message.publisher === client) &&
    matches(sharedPart(filter) ?? filter, message.topicName)
  );
}
