/**
 * Calls between shards as bytes. During a deploy shards of two releases talk to each other: each reads the formats of
 * its own and of the release before, and answers any other with the newest that it reads.
 */
import { decode, encode } from "@msgpack/msgpack";
import type { Batch, BatchAnswer, PeerItem } from "../core/peers/message.ts";
import type { Publication } from "../core/publication.ts";
import type { PublicationTuple } from "../storage/record-codec.ts";
import { fromPublicationTuple, toPublicationTuple } from "../storage/record-codec.ts";

/** Of this release; the first there is. */
export const newestFormat = 1;
export const oldestFormat = 1;

/** Well above what a shard puts into one call, and well below the 32 MiB that the runtime takes. */
const batchBytesMax = 16 * 1024 * 1024;

/** Messages stand beside the items, for one may go to many. */
interface BatchRecord {
  readonly format: number;
  readonly head: Omit<Batch, "items">;
  readonly publications: readonly PublicationTuple[];
  readonly items: readonly (Record<string, unknown> & { readonly type: string })[];
}

interface AnswerRecord {
  readonly format: number;
  readonly answer: BatchAnswer;
}

/** What was read, or why it cannot be applied. */
export type DecodedBatch =
  | { readonly batch: Batch }
  | { readonly refusal: BatchAnswer & { readonly type: "refused" } };

const itemTypes: Readonly<Record<string, readonly string[]>> = {
  publish: ["publish", "handOver", "addRoute", "removeRoute", "updateMembers", "replay", "figures"],
  deliver: ["deliver", "deliverShared", "retained"],
};

export function encodeBatch({ items, ...head }: Batch): Uint8Array {
  const indexes = new Map<Publication, number>();
  const indexOf = (publication: Publication): number => {
    let index = indexes.get(publication);
    if (index === undefined) indexes.set(publication, (index = indexes.size));
    return index;
  };
  const flat = items.map((item) => {
    if ("publication" in item) return { ...item, publication: indexOf(item.publication) };
    if ("publications" in item) return { ...item, publications: item.publications.map(indexOf) };
    return item;
  });
  const publications = [...indexes.keys()].map(toPublicationTuple);
  const record: BatchRecord = { format: newestFormat, head, publications, items: flat };
  return encode(record, { ignoreUndefined: true }).slice();
}

export function decodeBatch(bytes: Uint8Array): DecodedBatch {
  if (bytes.length > batchBytesMax) return refused("size");
  try {
    const record = decode(bytes) as BatchRecord;
    if (!isReadable(record.format)) return refused("format");
    return isWellFormed(record) ? { batch: toBatch(record) } : refused("format");
  } catch {
    return refused("format");
  }
}

export function encodeAnswer(answer: BatchAnswer): Uint8Array {
  const record: AnswerRecord = { format: newestFormat, answer };
  return encode(record, { ignoreUndefined: true }).slice();
}

/** Throws for what {@link encodeAnswer} of this release or the one before did not make. */
export function decodeAnswer(bytes: Uint8Array): BatchAnswer {
  const { format, answer } = decode(bytes) as AnswerRecord;
  if (!isReadable(format)) throw new Error(`An answer has format ${format}`);
  return answer;
}

function isReadable(format: unknown): boolean {
  return typeof format === "number" && format >= oldestFormat && format <= newestFormat;
}

function refused(refusal: "size" | "format"): DecodedBatch {
  return { refusal: { type: "refused", refusal, format: newestFormat } };
}

function isWellFormed({ head, items, publications }: BatchRecord): boolean {
  const numbers = [head.from, head.to, head.stream, head.sequence];
  const types = itemTypes[head.lane];
  return (
    numbers.every(Number.isSafeInteger) &&
    head.sequence > 0 &&
    typeof head.layout?.epoch === "number" &&
    Array.isArray(publications) &&
    Array.isArray(items) &&
    items.every(({ type }) => types?.includes(type))
  );
}

function toBatch({ head, items, publications }: BatchRecord): Batch {
  const found = publications.map(fromPublicationTuple);
  const at = (index: unknown): Publication => {
    const publication = found[index as number];
    if (publication === undefined) throw new Error("An item names a message that is not there");
    return publication;
  };
  const whole = items.map((item): PeerItem => {
    if ("publication" in item)
      return { ...item, publication: at(item["publication"]) } as unknown as PeerItem;
    if ("publications" in item) {
      const all = (item["publications"] as readonly unknown[]).map(at);
      return { ...item, publications: all } as unknown as PeerItem;
    }
    return item as unknown as PeerItem;
  });
  return { ...head, items: whole };
}
