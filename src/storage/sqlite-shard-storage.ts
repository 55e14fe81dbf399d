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

/** A shard's storage in SQLite. An empty database is not touched before the first commit: reading costs no row. */
export class SqliteShardStorage implements ShardStorage {
  readonly #database: SqlDatabase;
  #schemaVersion: number;

  constructor(database: SqlDatabase) {
    this.#database = database;
    this.#schemaVersion = schemaVersionOf(database);
    assertReadable(this.#schemaVersion);
    if (this.#schemaVersion === 0) return;
    migrate(database);
    this.#schemaVersion = migrations.length;
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
    return row && decodePolicy(Number(row["version"]), row["record"] as Uint8Array);
  }

  *readSessions(): Iterable<SessionRecord> {
    for (const row of this.#query("SELECT client_id, record FROM session")) {
      yield decodeSession(row["client_id"] as string, row["record"] as Uint8Array);
    }
  }

  *readRetainedHeads(): Iterable<RetainedHead> {
    for (const row of this.#query("SELECT slot, seq, head FROM retained_block")) {
      yield decodeRetainedHead(Number(row["slot"]), Number(row["seq"]), row["head"] as Uint8Array);
    }
  }

  readRetainedPublications(slot: number): readonly StoredPublication[] | undefined {
    const row = this.#first("SELECT publications FROM retained_block WHERE slot = ?", slot);
    return row && decodeStoredPublications(row["publications"] as Uint8Array);
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
    return { ...toHead(row), publications: decodePublications(row["publications"] as Uint8Array) };
  }

  commit(writes: WriteSet): void {
    try {
      this.#write(writes);
    } catch (error) {
      throw isForLackOfRoom(error) ? new StorageFullError("There is no room", { cause: error }) : error;
    }
  }

  #write(writes: WriteSet): void {
    this.#database.transaction(() => {
      if (this.#schemaVersion < migrations.length) migrate(this.#database);
      if (writes.shard !== undefined) this.#writeShard(writes.shard);
      for (const [clientId, record] of writes.sessions) this.#writeSession(clientId, record);
      for (const [slot, block] of writes.retainedBlocks) this.#writeRetainedBlock(slot, block);
      for (const segment of writes.segments) this.#writeSegment(segment);
      for (const slot of writes.deadSlots) this.#database.run("DELETE FROM segment WHERE slot = ?", slot);
      for (const route of writes.routes) this.#writeRoute(route);
      if (writes.policy !== undefined) this.#writePolicy(writes.policy);
    });
    this.#schemaVersion = migrations.length;
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

  #query(sql: string, ...parameters: SqlValue[]): Iterable<Record<string, SqlValue>> {
    return this.#schemaVersion === 0 ? [] : this.#database.query(sql, ...parameters);
  }

  #first(sql: string, ...parameters: SqlValue[]): Record<string, SqlValue> | undefined {
    return [...this.#query(sql, ...parameters)][0];
  }
}

function toHead(row: Record<string, SqlValue>): SegmentHead {
  return decodeSegmentHead(Number(row["slot"]), Number(row["seq"]), row["head"] as Uint8Array);
}
