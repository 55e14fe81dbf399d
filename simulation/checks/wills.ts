/** Wills: once after an abnormal end and its delay, never after a normal one or a return in time. */
import type { History, Message } from "../history.ts";
import { Violation } from "../history.ts";
import type { LinkRecord } from "../link.ts";
import type { World } from "../world.ts";
import { owes } from "./deliveries.ts";

/** Alarms come late by so much, shards restarting included. */
const slackMs = 20_000;
const resetGraceMs = 30_000;

type Verdict = "must" | "must not" | "may";

export function checkWills(world: World): void {
  const { history } = world;
  for (const message of history.messages.values()) {
    const { willOf } = message;
    if (willOf === undefined) continue;
    checkOnce(world, message);
    const verdict = verdictOf(world, willOf);
    const receipts = history.receipts.filter((receipt) => receipt.message === message);
    if (verdict === "must not" && receipts.length > 0) {
      throw new Violation("Will", `${message.id} of ${willOf.linkId} (${willOf.end}) is published`);
    }
    if (verdict === "must") checkPublished(history, message, willOf);
  }
}

function checkOnce({ history, shards }: World, message: Message): void {
  // QoS 0 waits for no write: a crash may come between what is sent and what says so.
  const mayRepeatQos0 = shards.some(({ lossCount }) => lossCount > 0);
  const seen = new Set<string>();
  for (const { client, epoch, dup, isFresh, message: of, qos, retain } of history.receipts) {
    if (qos === 0 && mayRepeatQos0) continue;
    if (of !== message || dup || !isFresh || retain || history.planOf(client).isMember) continue;
    // As every message it may come to a session and, still on its way, to the next one of the client.
    const key = `${client} ${epoch}`;
    if (seen.has(key)) {
      throw new Violation("Will", `${message.id} is published more than once, to client ${client}`);
    }
    seen.add(key);
  }
}

function checkPublished(
  history: History,
  message: Message,
  { linkId, end, endedAtMs = 0 }: LinkRecord,
): void {
  if (message.qos === 0) return;
  for (const interest of history.interests) {
    const isLasting = interest.endedAtMs === undefined && !history.planOf(interest.client).isMember;
    if (!isLasting || !owes(interest, { ...message, sentAtMs: endedAtMs })) continue;
    const isThere = history.receipts.some((one) => one.client === interest.client && one.message === message);
    if (isThere) continue;
    throw new Violation(
      "Will",
      `${message.id} of ${linkId} (${end}) never comes to client ${interest.client}`,
    );
  }
}

function verdictOf(world: World, record: LinkRecord): Verdict {
  const { connect, end, endedAtMs, isUncertain } = record;
  if (isUncertain) return "may";
  if (connect?.will === undefined || end === undefined || endedAtMs === undefined) return "must not";
  if (end === "disconnect") return "must not";
  const delaySec = Math.min(connect.will.willDelayIntervalSec, connect.sessionExpiryIntervalSec);
  const back = returnOf(world.history, record, endedAtMs);
  if (back?.isUncertain) return "may";
  if (end === "reset") return afterReset(world, record, endedAtMs, delaySec * 1000, back);
  if (delaySec === 0) return "must";
  const dueAtMs = endedAtMs + delaySec * 1000;
  const { attachedAtMs = Infinity } = back ?? {};
  // A new session ends the old one, and with it the delay.
  if (attachedAtMs < dueAtMs) return back?.connect?.cleanStart ? "must" : "must not";
  const isOver = Math.min(attachedAtMs, world.nowMs) > dueAtMs + slackMs;
  return isOver ? "must" : "may";
}

/** Nobody's Will goes out because of a reset alone: the client gets time to return, from when the shard wakes. */
function afterReset(
  { nowMs, shards, placement }: World,
  { connect }: LinkRecord,
  endedAtMs: number,
  delayMs: number,
  back: LinkRecord | undefined,
): Verdict {
  const { attachedAtMs = Infinity } = back ?? {};
  const { sessionExpiryIntervalSec = 0 } = connect ?? {};
  // A session that ends takes its Will with it.
  const endsAfterMs = sessionExpiryIntervalSec === 0 ? Infinity : sessionExpiryIntervalSec * 1000;
  const graceMs = Math.min(Math.max(resetGraceMs, delayMs), endsAfterMs);
  if (attachedAtMs < endedAtMs + graceMs) return "must not";
  const shard = shards[placement.sessionShard(connect?.clientId ?? "")];
  const started = shard?.startedAtMs.filter((atMs) => atMs >= endedAtMs) ?? [];
  const [first = Infinity, second = Infinity] = started;
  const overAtMs = first + graceMs + slackMs;
  return second > overAtMs && Math.min(attachedAtMs, nowMs) > overAtMs ? "must" : "may";
}

function returnOf(history: History, record: LinkRecord, endedAtMs: number): LinkRecord | undefined {
  let first: LinkRecord | undefined;
  for (const other of history.links) {
    const { attachedAtMs } = other;
    if (other === record || other.clientIndex !== record.clientIndex || attachedAtMs === undefined) continue;
    if (attachedAtMs < endedAtMs || attachedAtMs >= (first?.attachedAtMs ?? Infinity)) continue;
    first = other;
  }
  return first;
}
