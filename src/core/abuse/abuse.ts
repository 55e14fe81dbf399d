import type { Presence } from "../access/bans.ts";
import type { CostMeter } from "../cost/cost-meter.ts";
import type { ClientPacket } from "../packet.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Refusal } from "../refusal.ts";
import type { AbuseLimits } from "./abuse-limits.ts";
import { addressKeyOf } from "./address-key.ts";
import { AddressRates, minuteBucket } from "./address-rates.ts";
import { DailyMessages } from "./daily-messages.ts";
import { Inflow } from "./inflow.ts";
import type { RateBucket } from "./rate-bucket.ts";
import { Strikes } from "./strikes.ts";

/** One who talks. */
export interface Talker {
  inflow: Inflow | undefined;
}

/** Packets that ask for something; acknowledgements come as the server's own packets want them to. */
const requests: readonly ClientPacket["type"][] = ["publish", "subscribe", "unsubscribe", "pingreq", "auth"];

/** What bounds those who ask too much. No limit costs a row or a call. */
export class Abuse {
  readonly dailyMessages: DailyMessages;
  readonly #limits: AbuseLimits;
  readonly #addressConnects: AddressRates | undefined;
  readonly #shardConnects: RateBucket | undefined;
  readonly #flaps: Strikes;
  readonly #failedLogins: Strikes;

  constructor(limits: AbuseLimits, meter: CostMeter) {
    const { connectsPerMinPerAddressMax, shardConnectsPerMinMax } = limits;
    this.#limits = limits;
    this.dailyMessages = new DailyMessages(limits, meter);
    if (connectsPerMinPerAddressMax > 0)
      this.#addressConnects = new AddressRates(connectsPerMinPerAddressMax);
    if (shardConnectsPerMinMax > 0) this.#shardConnects = minuteBucket(shardConnectsPerMinMax);
    this.#flaps = new Strikes(limits.flaps);
    this.#failedLogins = new Strikes(limits.failedLogins);
  }

  /** Why a CONNECT is refused, whatever it says; undefined when it is not. */
  arrivalRefusalOf(address: string | undefined, nowMs: number): Refusal | undefined {
    const from = address === undefined ? undefined : addressKeyOf(address);
    if (from !== undefined && this.#failedLogins.isBanned(from, nowMs)) return failedTooOften;
    // Who comes too often does not use up what the others have.
    if (from !== undefined && this.#addressConnects?.take(from, nowMs) === false) return tooManyFromAddress;
    if (this.#shardConnects?.take(1, nowMs) === false) return tooManyConnects;
    return undefined;
  }

  /**
   * For a CONNECT whose credentials were accepted. Goes by who it is, too, so that nobody has another's Client Identifier
   * banned by using it: who has neither a user name nor an address cannot be told from others, and has no limit.
   */
  flapRefusalOf({ clientId, username, address }: Presence, nowMs: number): Refusal | undefined {
    const who = username ?? (address === undefined ? undefined : addressKeyOf(address));
    if (this.#limits.flaps.max === 0 || who === undefined) return undefined;
    // No part can have the character that separates them.
    const name = [username === undefined ? "address" : "username", who, clientId].join("\0");
    return this.#flaps.strike(name, nowMs) ? flapping : undefined;
  }

  noteFailedLogin(address: string | undefined, nowMs: number): void {
    if (address !== undefined) this.#failedLogins.strike(addressKeyOf(address), nowMs);
  }

  /** Why a connection may not go on after so many bytes; undefined when it may. */
  bytesRefusalOf(talker: Talker, sizeBytes: number, nowMs: number): Refusal | undefined {
    if (this.#limits.bytesPerSecMax === 0) return undefined;
    talker.inflow ??= new Inflow(this.#limits);
    return talker.inflow.takeBytes(sizeBytes, nowMs) ? undefined : tooManyBytes;
  }

  /** Why a connection may not go on with one packet more; undefined when it may. */
  packetRefusalOf(talker: Talker, { type }: ClientPacket, nowMs: number): Refusal | undefined {
    if (this.#limits.messagesPerSecMax === 0 || !requests.includes(type)) return undefined;
    talker.inflow ??= new Inflow(this.#limits);
    return talker.inflow.takeMessage(nowMs) ? undefined : tooManyMessages;
  }
}

const { Banned, ConnectionRateExceeded, MessageRateTooHigh } = ReasonCode;

const failedTooOften: Refusal = {
  reasonCode: ConnectionRateExceeded,
  reasonString: "Too many credentials from this address were wrong",
};

const tooManyFromAddress: Refusal = {
  reasonCode: ConnectionRateExceeded,
  reasonString: "Too many connections a minute from this address",
};

const tooManyConnects: Refusal = {
  reasonCode: ConnectionRateExceeded,
  reasonString: "Too many connections a minute",
};

const flapping: Refusal = {
  reasonCode: Banned,
  reasonString: "The client has connected too often; banned for a while",
};

const tooManyBytes: Refusal = { reasonCode: MessageRateTooHigh, reasonString: "Too many bytes a second" };

const tooManyMessages: Refusal = {
  reasonCode: MessageRateTooHigh,
  reasonString: "Too many messages a second",
};
