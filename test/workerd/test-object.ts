import {
  abortAllDurableObjects,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { ConnectPacket, ProtocolVersion } from "../../src/core/packet.ts";
import type { ReceivedPacket } from "../codec/server-decode.ts";
import { unique } from "../support/unique.ts";
import { Client } from "./client.ts";
import { declareNamespace, type Instruments, instrumentsOf } from "./instruments.ts";
import { connectPacket } from "./packets.ts";
import type { TestShard } from "./worker.ts";

const { SHARD: namespace } = env as unknown as { SHARD: DurableObjectNamespace<TestShard> };

/** Alarms that may be due at one time before something is wrong. */
const alarmsMax = 20;

/** A Durable Object that no other test knows. */
export class TestObject {
  readonly name: string;
  readonly instruments: Instruments;

  /** `name` as the Worker gives it; by default the shard of a namespace that has one, and is the test's own. */
  constructor(name = `${unique("namespace")}/0`) {
    this.name = name;
    declareNamespace(name.split("/")[0] ?? "");
    this.instruments = instrumentsOf(namespace.idFromName(name));
  }

  /** After a reset old stubs are broken. */
  get stub(): DurableObjectStub<TestShard> {
    return namespace.getByName(this.name);
  }

  async open(
    version: ProtocolVersion = 5,
    onPacket: (packet: ReceivedPacket) => void = () => {},
  ): Promise<Client> {
    const headers = { upgrade: "websocket", "sec-websocket-protocol": "mqtt" };
    const { webSocket } = await this.stub.fetch("http://shard/mqtt", { headers });
    if (webSocket === null) throw new Error("the upgrade was refused");
    return new Client(webSocket, version, onPacket);
  }

  /** Opens a socket, sends CONNECT and takes the CONNACK. */
  async connect(clientId: string, options: Partial<ConnectPacket> = {}): Promise<Client> {
    const client = await this.open(options.protocolVersion ?? 5);
    client.send(connectPacket(clientId, options));
    await client.next("connack");
    return client;
  }

  /** Evicts the object; its sockets stay, as in a hibernation, or go, as in a reset. */
  async evict(sockets: "kept" | "lost" = "kept"): Promise<void> {
    await this.stub.touch();
    await evictDurableObject(this.stub, { webSockets: sockets === "kept" ? "hibernate" : "close" });
  }

  /** A crash: memory, timers and sockets are gone at once. */
  async abort(): Promise<void> {
    await abortAllDurableObjects();
  }

  /** Moves the clock and lets the alarms run that fall due on the way, each when it is due. */
  async advance(sec: number): Promise<void> {
    const untilMs = this.instruments.nowMs + sec * 1000;
    for (let count = 0; this.#isDueBy(untilMs); count += 1) {
      if (count === alarmsMax * Math.max(1, sec)) throw new Error("the alarm does not come to rest");
      this.instruments.nowMs = Math.max(this.instruments.nowMs, this.instruments.alarmAtMs ?? 0);
      await this.runAlarm();
    }
    this.instruments.nowMs = untilMs;
  }

  /** Moves the clock; alarms that fall due on the way do not run. */
  skip(sec: number): void {
    this.instruments.nowMs += sec * 1000;
  }

  /** Runs the alarm now, as the runtime does: while it runs, the constructor sees none armed. */
  async runAlarm(): Promise<boolean> {
    this.instruments.isAlarmRunning = true;
    try {
      return await runDurableObjectAlarm(this.stub);
    } finally {
      this.instruments.isAlarmRunning = false;
    }
  }

  /** Rows written so far, alarms included: an alarm that is armed is a row too. */
  get rows(): number {
    return this.instruments.rowsWritten + this.instruments.alarmWrites;
  }

  /** Rows that the work writes, until the object has nothing left to do. */
  async rowsDuring(work: () => Promise<unknown>): Promise<number> {
    const before = this.rows;
    await work();
    await this.evict();
    return this.rows - before;
  }

  /** Names of the tables, those of the runtime apart. */
  tables(): Promise<string[]> {
    return runInDurableObject(this.stub, (_, { storage: { sql } }) =>
      sql
        .exec("SELECT name FROM sqlite_master")
        .toArray()
        .map(({ name }) => String(name))
        .filter((name) => !name.startsWith("_cf_") && !name.startsWith("sqlite_")),
    );
  }

  #isDueBy(timeMs: number): boolean {
    const { alarmAtMs } = this.instruments;
    return alarmAtMs !== undefined && alarmAtMs <= timeMs;
  }
}
