/** Policies and identities as MessagePack arrays. Names that others chose are never keys: `__proto__` could be one. */
import { decode, encode } from "@msgpack/msgpack";
import type { Identity } from "../core/access/identity.ts";
import type { Ban, Policy } from "../core/access/policy.ts";
import type { Rule } from "../core/access/rule.ts";
import type { QoS } from "../core/packet.ts";

const format = 1;

type Optional<Value> = Value | null | undefined;

type RuleTuple = [
  effect: number,
  action: number,
  topicFilter: string,
  qosMax?: Optional<QoS>,
  retain?: Optional<boolean>,
];

type NamedRulesTuple = [name: string, rules: RuleTuple[]][];

type PolicyTuple = [
  format: number,
  rules: RuleTuple[],
  roles: NamedRulesTuple,
  users: NamedRulesTuple,
  clients: NamedRulesTuple,
  bans: [by: number, value: string, untilMs?: Optional<number>][],
];

export type IdentityTuple = [
  method: number,
  username: Optional<string>,
  clientId: Optional<string>,
  roles: readonly string[],
  claims: [name: string, value: string][],
  rules: RuleTuple[],
  expiresAtMs: Optional<number>,
];

const effects = ["allow", "deny"] as const;
const actions = ["publish", "subscribe", "all"] as const;
const banKinds = ["client", "username", "address"] as const;
const methods = ["anonymous", "password", "token", "certificate", "scram", "hook"] as const;

/** All but the version. */
export function encodePolicy({ rules, roles, users, clients, bans }: Policy): Uint8Array {
  const tuple: PolicyTuple = [
    format,
    rules.map(toRuleTuple),
    toNamedRulesTuple(roles),
    toNamedRulesTuple(users),
    toNamedRulesTuple(clients),
    bans.map(({ by, value, untilMs }) => [banKinds.indexOf(by), value, untilMs]),
  ];
  return encode(tuple);
}

export function decodePolicy(version: number, bytes: Uint8Array): Policy {
  const [found, rules, roles, users, clients, bans] = decode(bytes) as PolicyTuple;
  if (found !== format) throw new Error(`Stored policy has format ${found}; this version reads ${format}`);
  return {
    version,
    rules: rules.map(fromRuleTuple),
    roles: fromNamedRulesTuple(roles),
    users: fromNamedRulesTuple(users),
    clients: fromNamedRulesTuple(clients),
    bans: bans.map(([by, value, untilMs]) => ({
      by: banKinds[by] as Ban["by"],
      value,
      ...(isSet(untilMs) && { untilMs }),
    })),
  };
}

export function toIdentityTuple(identity: Identity): IdentityTuple {
  const { method, username, clientId, roles, claims, rules, expiresAtMs } = identity;
  return [
    methods.indexOf(method),
    username,
    clientId,
    roles,
    Object.entries(claims),
    rules.map(toRuleTuple),
    expiresAtMs,
  ];
}

/** Shared: a shard may know tens of thousands of identities, and most have none. */
const noClaims: Identity["claims"] = {};
const noRules: Identity["rules"] = [];

export function fromIdentityTuple(tuple: IdentityTuple): Identity {
  const [method, username, clientId, roles, claims, rules, expiresAtMs] = tuple;
  return {
    method: methods[method] as Identity["method"],
    ...(isSet(username) && { username }),
    ...(isSet(clientId) && { clientId }),
    roles,
    claims: claims.length === 0 ? noClaims : Object.fromEntries(claims),
    rules: rules.length === 0 ? noRules : rules.map(fromRuleTuple),
    ...(isSet(expiresAtMs) && { expiresAtMs }),
  };
}

function toRuleTuple({ effect, action, topicFilter, qosMax, retain }: Rule): RuleTuple {
  const tuple: RuleTuple = [effects.indexOf(effect), actions.indexOf(action), topicFilter];
  if (qosMax !== undefined || retain !== undefined) tuple.push(qosMax, retain);
  return tuple;
}

function fromRuleTuple([effect, action, topicFilter, qosMax, retain]: RuleTuple): Rule {
  return {
    effect: effects[effect] as Rule["effect"],
    action: actions[action] as Rule["action"],
    topicFilter,
    ...(isSet(qosMax) && { qosMax }),
    ...(isSet(retain) && { retain }),
  };
}

function toNamedRulesTuple(lists: Readonly<Record<string, readonly Rule[]>>): NamedRulesTuple {
  return Object.entries(lists).map(([name, rules]) => [name, rules.map(toRuleTuple)]);
}

function fromNamedRulesTuple(lists: NamedRulesTuple): Readonly<Record<string, readonly Rule[]>> {
  return Object.fromEntries(lists.map(([name, rules]) => [name, rules.map(fromRuleTuple)]));
}

function isSet<Value>(value: Optional<Value>): value is Value {
  return value !== null && value !== undefined;
}
