import type { Policy } from "../core/access/policy.ts";
import type {
  RetainedBlockRecord,
  RetainedHead,
  RouteRecord,
  RouteWrite,
  SegmentHead,
  SegmentRecord,
  SessionRecord,
  ShardRecord,
  ShardStorage,
  StoredPublication,
  WriteSet,
} from "../core/storage-port.ts";
import { assertReadable, migrate, migrations, schemaVersionOf } from "./migrations.ts";
import { decodePolicy, encodePolicy } from "./policy-codec.ts";
import {
  decodePublications,
  decodeRetainedHead,
  decodeSegmentHead,
  decodeSession,
  decodeStoredPublications,
  encodePublications,
  encodeRetainedHead,
  encodeSegmentHead,
  encodeSession,
  encodeStoredPublications,
} from "./record-codec.ts";
import type { SqlDatabase, SqlValue } from "./sql-database.ts";
import { isForLackOfRoom, StorageFullError } from "./storage-full-error.ts";
import { readable, UnreadableError } from "./unreadable-error.ts";

/**
 * A shard's storage in SQLite. An empty database is not touched before the first commit: reading costs no row. What
 * cannot be read throws {@link UnreadableError} when it is read, the whole database with the first of all.
 */
export class SqliteShardStorage implements ShardStorage {
  readonly #database: SqlDatabase;
  /** Undefined until something is asked for. */
  #schemaVersion: number | undefined;

  constructor(database: SqlDatabase) {
    this.#database = database;
  }

  get rowsRead(): number {
    return this.#database.rowsRead;
  }

  get rowsWritten(): number {
    return this.#database.rowsWritten;
  }

  get storedBytes(): number {
    return this.#database.storedBytes;
  }

  readShard(): ShardRecord | undefined {
    const row = this.#first("SELECT * FROM shard");
    if (row === undefined) return undefined;
    const { boot, settled_boot, layout_epoch, layout_shards, topic_key_levels, number_blocks } = row;
    return {
      boot: Number(boot),
      settledBoot: Number(settled_boot),
      ...(layout_epoch !== null && {
        layout: {
          epoch: Number(layout_epoch),
          shards: Number(layout_shards),
          topicKeyLevels: Number(topic_key_levels),
        },
      }),
      ...(number_blocks !== null && { numberBlocks: Number(number_blocks) }),
    };
  }

  *readRoutes(): Iterable<RouteRecord> {
    for (const row of this.#query("SELECT filter, shard, boot, serial FROM route")) {
      const version = { boot: Number(row["boot"]), serial: Number(row["serial"]) };
      yield { filter: row["filter"] as string, shard: Number(row["shard"]), version };
    }
  }

  readPolicy(): Policy | undefined {
    const row = this.#first("SELECT version, record FROM policy");
    if (row === undefined) return undefined;
    return readable("Policy", () => decodePolicy(Number(row["version"]), row["record"] as Uint8Array));
  }

  *readSessions(): Iterable<SessionRecord> {
    for (const row of this.#query("SELECT client_id, record FROM session")) {
      const clientId = row["client_id"] as string;
      yield readable(`Session ${JSON.stringify(clientId)}`, () =>
        decodeSession(clientId, row["record"] as Uint8Array),
      );
    }
  }

  *readRetainedHeads(): Iterable<RetainedHead> {
    for (const row of this.#query("SELECT slot, seq, head FROM retained_block")) {
      const slot = Number(row["slot"]);
      yield readable(`Head of retained block ${slot}`, () =>
        decodeRetainedHead(slot, Number(row["seq"]), row["head"] as Uint8Array),
      );
    }
  }

  readRetainedPublications(slot: number): readonly StoredPublication[] | undefined {
    const row = this.#first("SELECT publications FROM retained_block WHERE slot = ?", slot);
    if (row === undefined) return undefined;
    return readable(`Messages of retained block ${slot}`, () =>
      decodeStoredPublications(row["publications"] as Uint8Array),
    );
  }

  *readSegmentHeads(): Iterable<SegmentHead> {
    for (const row of this.#query("SELECT slot, seq, head FROM segment ORDER BY seq")) yield toHead(row);
  }

  readSegmentHead(slot: number): SegmentHead | undefined {
    const row = this.#first("SELECT slot, seq, head FROM segment WHERE slot = ?", slot);
    return row === undefined ? undefined : toHead(row);
  }

  readSegment(slot: number): SegmentRecord | undefined {
    const row = this.#first("SELECT slot, seq, head, publications FROM segment WHERE slot = ?", slot);
    if (row === undefined) return undefined;
    const publications = readable(`Messages of segment ${slot}`, () =>
      decodePublications(row["publications"] as Uint8Array),
    );
    return { ...toHead(row), publications };
  }

  commit(writes: WriteSet): void {
    const schemaVersion = this.#open();
    let failure: unknown;
    try {
      this.#database.transaction(() => {
        try {
          this.#write(writes, schemaVersion);
        } catch (error) {
          failure = error;
          throw error;
        }
      });
    } catch (error) {
      // SQLite without room ends the transaction by itself, so that its end fails, too.
      const cause = failure ?? error;
      throw isForLackOfRoom(cause) ? new StorageFullError("There is no room", { cause }) : cause;
    }
    this.#schemaVersion = migrations.length;
  }

  #write(writes: WriteSet, schemaVersion: number): void {
    if (schemaVersion < migrations.length) migrate(this.#database);
    if (writes.shard !== undefined) this.#writeShard(writes.shard);
    for (const [clientId, record] of writes.sessions) this.#writeSession(clientId, record);
    for (const [slot, block] of writes.retainedBlocks) this.#writeRetainedBlock(slot, block);
    for (const segment of writes.segments) this.#writeSegment(segment);
    for (const slot of writes.deadSlots) this.#database.run("DELETE FROM segment WHERE slot = ?", slot);
    for (const route of writes.routes) this.#writeRoute(route);
    if (writes.policy !== undefined) this.#writePolicy(writes.policy);
  }

  #writeShard({ boot, settledBoot, layout, numberBlocks }: ShardRecord): void {
    this.#database.run(
      "INSERT OR REPLACE INTO shard VALUES (1, ?, ?, ?, ?, ?, ?)",
      boot,
      settledBoot,
      layout?.epoch ?? null,
      layout?.shards ?? null,
      layout?.topicKeyLevels ?? null,
      numberBlocks ?? null,
    );
  }

  #writePolicy(policy: Policy): void {
    const record = encodePolicy(policy);
    this.#database.run("INSERT OR REPLACE INTO policy VALUES (1, ?, ?)", policy.version, record);
  }

  #writeRoute({ filter, shard, version }: RouteWrite): void {
    if (version === undefined) {
      this.#database.run("DELETE FROM route WHERE filter = ? AND shard = ?", filter, shard);
      return;
    }
    const { boot, serial } = version;
    this.#database.run("INSERT OR REPLACE INTO route VALUES (?, ?, ?, ?)", filter, shard, boot, serial);
  }

  #writeSession(clientId: string, record: SessionRecord | undefined): void {
    if (record === undefined) {
      this.#database.run("DELETE FROM session WHERE client_id = ?", clientId);
    } else {
      this.#database.run("INSERT OR REPLACE INTO session VALUES (?, ?)", clientId, encodeSession(record));
    }
  }

  #writeRetainedBlock(slot: number, block: RetainedBlockRecord | undefined): void {
    if (block === undefined) {
      this.#database.run("DELETE FROM retained_block WHERE slot = ?", slot);
      return;
    }
    this.#database.run(
      "INSERT OR REPLACE INTO retained_block VALUES (?, ?, ?, ?)",
      slot,
      block.seq,
      encodeRetainedHead(block),
      encodeStoredPublications(block.publications),
    );
  }

  #writeSegment(segment: SegmentRecord): void {
    this.#database.run(
      "INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?)",
      segment.slot,
      segment.seq,
      encodeSegmentHead(segment),
      encodePublications(segment.publications),
    );
  }

  *#query(sql: string, ...parameters: SqlValue[]): Iterable<Record<string, SqlValue>> {
    if (this.#open() === 0) return;
    try {
      yield* this.#database.query(sql, ...parameters);
    } catch (error) {
      throw isDamage(error) ? new UnreadableError(`${sql}: ${error.message}`) : error;
    }
  }

  /** The version of the schema; an older one is brought up to date. */
  #open(): number {
    if (this.#schemaVersion !== undefined) return this.#schemaVersion;
    const found = schemaVersionOf(this.#database);
    assertReadable(this.#database, found);
    if (found > 0) migrate(this.#database);
    this.#schemaVersion = found > 0 ? migrations.length : 0;
    return this.#schemaVersion;
  }

  #first(sql: string, ...parameters: SqlValue[]): Record<string, SqlValue> | undefined {
    return [...this.#query(sql, ...parameters)][0];
  }
}

/** Another failure may be over with the next try. */
function isDamage(error: unknown): error is Error {
  const pattern = /SQLITE_CORRUPT|SQLITE_NOTADB|malformed|no such (?:table|column)/;
  return error instanceof Error && pattern.test(error.message);
}

function toHead(row: Record<string, SqlValue>): SegmentHead {
  const slot = Number(row["slot"]);
  return readable(`Head of segment ${slot}`, () =>
    decodeSegmentHead(slot, Number(row["seq"]), row["head"] as Uint8Array),
  );
}
