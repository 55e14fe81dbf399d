import { utf8BytesMax } from "../core/publication.ts";
import type { RetainedName } from "../core/storage-port.ts";
import { encodeRetainedHead, encodeStoredPublications, EncodedPublication } from "./record-codec.ts";
import type { SqlDatabase } from "./sql-database.ts";

/** Of messages that are in memory together and go into one row. */
const blockBytesMax = 64 * 1024;

/** Takes the retained messages of a row each into blocks. All names are in memory meanwhile, and one block of messages. */
export function packRetainedRows(database: SqlDatabase): void {
  let names: RetainedName[] = [];
  let sizeBytes = 0;
  let slot = 0;
  const writeBlock = (): void => {
    if (names.length > 0) copyBlock(database, (slot += 1), names);
    names = [];
    sizeBytes = 0;
  };
  for (const name of readNames(database)) {
    if (sizeBytes + name.sizeBytes > blockBytesMax) writeBlock();
    names.push(name);
    sizeBytes += name.sizeBytes;
  }
  writeBlock();
  database.run("DROP TABLE retained");
}

function readNames(database: SqlDatabase): RetainedName[] {
  const sql =
    "SELECT topic_name, expires_at_ms, length(publication) AS size FROM retained ORDER BY topic_name";
  return Array.from(database.query(sql), (row) => {
    const topicName = row["topic_name"] as string;
    const sizeBytes = Number(row["size"]) + utf8BytesMax(topicName);
    const expiresAtMs = row["expires_at_ms"];
    return expiresAtMs === null
      ? { topicName, sizeBytes }
      : { topicName, sizeBytes, expiresAtMs: Number(expiresAtMs) };
  });
}

function copyBlock(database: SqlDatabase, slot: number, names: readonly RetainedName[]): void {
  const sql = "SELECT publication FROM retained WHERE topic_name BETWEEN ? AND ? ORDER BY topic_name";
  const [first, last] = [names[0], names[names.length - 1]] as [RetainedName, RetainedName];
  const publications = Array.from(
    database.query(sql, first.topicName, last.topicName),
    (row) => new EncodedPublication(row["publication"] as Uint8Array),
  );
  database.run(
    "INSERT INTO retained_block VALUES (?, ?, ?, ?)",
    slot,
    slot,
    encodeRetainedHead({ names, cleared: [] }),
    encodeStoredPublications(publications),
  );
}
