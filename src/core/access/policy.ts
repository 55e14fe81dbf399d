import type { Rule } from "./rule.ts";

/** Somebody who may not connect. */
export interface Ban {
  readonly by: "client" | "username" | "address";
  readonly value: string;
  /** In ms since 1970; absent: for good. */
  readonly untilMs?: number;
}

/** All rules, roles and bans of a namespace. */
export interface Policy {
  /** Grows with every change; an older policy never replaces a newer one. */
  readonly version: number;
  /** For everybody. */
  readonly rules: readonly Rule[];
  /** By role name. */
  readonly roles: Readonly<Record<string, readonly Rule[]>>;
  /** By user name. */
  readonly users: Readonly<Record<string, readonly Rule[]>>;
  /** By Client Identifier. */
  readonly clients: Readonly<Record<string, readonly Rule[]>>;
  readonly bans: readonly Ban[];
}

export const emptyPolicy: Policy = { version: 0, rules: [], roles: {}, users: {}, clients: {}, bans: [] };
