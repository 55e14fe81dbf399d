/** User names and addresses can be written in several ways: a policy has each in the one by which they are compared. */
import { formatNetwork, parseNetwork } from "../network.ts";
import type { Ban, Policy } from "./policy.ts";
import { nameBytesMax, prepared } from "./prepared.ts";
import type { Rule } from "./rule.ts";

type RulesByName = Readonly<Record<string, readonly Rule[]>>;

/** Undefined for a ban that can be of nobody. */
export function normalBan(ban: Ban): Ban | undefined {
  const value = normalValues[ban.by](ban.value);
  return value === undefined ? undefined : { ...ban, value };
}

/** What is stored may be older than the rules for it: what can be of nobody is left out. */
export function normalPolicy(policy: Policy): Policy {
  return {
    ...policy,
    users: normalUsers(policy.users),
    bans: policy.bans.flatMap((ban) => normalBan(ban) ?? []),
  };
}

/** Of several ways to write a name, rules of that which is in normal form come first. */
function normalUsers(users: RulesByName): RulesByName {
  const found = new Map<string, readonly Rule[]>();
  for (const [name, rules] of Object.entries(users)) {
    const normal = normalName(name);
    if (normal === undefined) continue;
    const others = found.get(normal) ?? [];
    found.set(normal, name === normal ? [...rules, ...others] : [...others, ...rules]);
  }
  return Object.fromEntries(found);
}

export function normalName(name: string): string | undefined {
  return prepared(name, nameBytesMax);
}

const normalValues: Record<Ban["by"], (value: string) => string | undefined> = {
  client: (clientId) => clientId,
  username: normalName,
  address: (address) => {
    const network = parseNetwork(address);
    return network && formatNetwork(network);
  },
};
