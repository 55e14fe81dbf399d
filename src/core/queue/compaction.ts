import type { LogTarget, SegmentRecord } from "../storage-port.ts";
import type { LogSession, Segment } from "./segment.ts";
import { segmentBytesMax, stateBytes } from "./segment.ts";
import type { Segments } from "./segments.ts";

/** What is packed into one row, and what is read for it. */
const packedBytesMax = 512 * 1024;
const readBytesMax = 4 * 1024 * 1024;
const groupMax = 64;

/**
 * Packs what is alive in segments that are mostly dead, so that a session which is away does not keep everything that
 * was written beside its messages. One row for up to 64 that become free; undefined when there is nothing to pack.
 * `beforeSeq`: those from there on are being written.
 */
export function compact(
  segments: Segments,
  beforeSeq: number,
  sessionOf: (sessionNumber: number) => LogSession | undefined,
): SegmentRecord | undefined {
  const group = chooseGroup(segments, beforeSeq);
  if (group.length === 0) return undefined;
  const live = group.map((segment) => liveOf(segments.record(segment), sessionOf));
  const newest = segments.merge(group);
  return segments.write(newest, {
    messages: live.flatMap(({ messages }) => messages),
    publications: live.flatMap(({ publications }) => publications),
    deliveryStates: [...newest.holders].map(
      (session) => [session.sessionNumber, session.deliveryState()] as const,
    ),
  });
}

/** Neighbours only: merged, they keep their place between all others, and the messages of a session their order. */
function chooseGroup(segments: Segments, beforeSeq: number): Segment[] {
  for (const sparse of segments.sparse) {
    if (sparse.seq >= beforeSeq) continue;
    const group = [sparse];
    let packedBytes = packedBytesOf(sparse);
    // Its states may have grown since it was written.
    if (packedBytes > segmentBytesMax) continue;
    let readBytes = sparse.storedBytes;
    const takes = (segment: Segment | undefined): segment is Segment => {
      if (segment === undefined || segment.seq >= beforeSeq || group.length === groupMax) return false;
      packedBytes += packedBytesOf(segment);
      readBytes += segment.storedBytes;
      return packedBytes <= packedBytesMax && readBytes <= readBytesMax;
    };
    for (let next = sparse.newer; takes(next); next = next.newer) group.push(next);
    for (let next = sparse.older; takes(next); next = next.older) group.unshift(next);
    return group;
  }
  return [];
}

/** No more than that: a message that several sessions await is counted for each of them. */
function packedBytesOf({ liveBytes, storedBytes, holders }: Segment): number {
  let bytes = Math.min(liveBytes, storedBytes);
  for (const session of holders) bytes += stateBytes(session.deliveryState());
  return bytes;
}

function liveOf(
  { messages, publications }: SegmentRecord,
  sessionOf: (sessionNumber: number) => LogSession | undefined,
): Pick<SegmentRecord, "messages" | "publications"> {
  const isLive = ({ sessionNumber, ordinal }: LogTarget): boolean =>
    sessionOf(sessionNumber)?.isPending(ordinal) === true;
  const pruned = messages.map((message, index) => ({
    message: { ...message, targets: message.targets.filter(isLive) },
    publication: publications[index],
  }));
  const live = pruned.filter(({ message, publication }) => message.targets.length > 0 && publication);
  return {
    messages: live.map(({ message }) => message),
    publications: live.flatMap(({ publication }) => publication ?? []),
  };
}
