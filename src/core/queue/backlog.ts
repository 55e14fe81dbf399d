import type { MessageLog } from "./message-log.ts";
import type { LogSession, QueuedMessage } from "./segment.ts";

/** How much of a backlog is read from the log at a time. */
export const pageLimits = { count: 100, bytes: 1024 * 1024 };

/** All messages of a session that the log has, from segment `fromSeq` on, read page by page. */
export function* readAll(
  log: MessageLog,
  session: LogSession,
  through: number,
  fromSeq: number,
): Iterable<QueuedMessage> {
  let seq = fromSeq;
  for (let after = 0; ;) {
    const page = log.read(session, { after, through }, seq, pageLimits);
    yield* page.messages;
    const last = page.messages.at(-1);
    if (last === undefined) return;
    after = last.target.ordinal;
    seq = page.nextSeq;
  }
}
