import type { Connection } from "../connection/connection.ts";
import type { QoS } from "../packet.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Refusal } from "../refusal.ts";
import type { ShardStorage } from "../storage-port.ts";
import { parseSharedFilter } from "../topic.ts";
import { isServerFilter } from "../topics/server-topics.ts";
import type { Presence } from "./bans.ts";
import { Bans } from "./bans.ts";
import type { Identity } from "./identity.ts";
import { anonymousIdentity } from "./identity.ts";
import { normalPolicy } from "./normal-form.ts";
import type { CompiledRules } from "./permissions.ts";
import { Permissions, RuleCompiler } from "./permissions.ts";
import type { Policy } from "./policy.ts";
import { emptyPolicy } from "./policy.ts";
import type { Rule } from "./rule.ts";

export interface AccessSettings {
  /** Rules for everybody that come after those of the policy. */
  readonly permissions: readonly Rule[];
  /** Who may subscribe to `$SYS`; no rule says more about it. */
  readonly serverTopicsFor: "operators" | "everybody";
}

/** Identities with this role may subscribe to `$SYS`. */
export const operatorRole = "operator";

/**
 * Who may do what, by the policy of the namespace. It lies in memory and in one row: no decision asks anybody. What a
 * client may do is worked out once, and again after a change of the policy.
 */
export class Access {
  readonly #settings: AccessSettings;
  readonly #storage: Pick<ShardStorage, "readPolicy">;
  readonly #compiler = new RuleCompiler();
  #policy: Policy | undefined;
  #bans: Bans | undefined;
  #hasUnwritten = false;

  constructor(settings: AccessSettings, storage: Pick<ShardStorage, "readPolicy">) {
    this.#settings = settings;
    this.#storage = storage;
  }

  /** Read when it is first asked for. */
  get policy(): Policy {
    this.#policy ??= normalPolicy(this.#storage.readPolicy() ?? emptyPolicy);
    return this.#policy;
  }

  get hasUnwritten(): boolean {
    return this.#hasUnwritten;
  }

  /** False for a policy that is not newer than the present one: nothing is done then. */
  replacePolicy(policy: Policy): boolean {
    if (policy.version <= this.policy.version) return false;
    this.#policy = normalPolicy(policy);
    this.#bans = undefined;
    this.#hasUnwritten = true;
    return true;
  }

  /** The policy, if it is to be written. */
  takeUnwritten(): Policy | undefined {
    if (!this.#hasUnwritten) return undefined;
    this.#hasUnwritten = false;
    return this.policy;
  }

  isBanned(presence: Presence, nowMs: number): boolean {
    this.#bans ??= new Bans(this.policy.bans);
    return this.#bans.has(presence, nowMs);
  }

  /** What a client may do under the present policy. */
  permissionsFor(identity: Identity, clientId: string): Permissions {
    const { policy } = this;
    const { permissions } = this.#settings;
    const { username, roles, claims } = identity;
    const lists = [
      username === undefined ? undefined : listIn(policy.users, username),
      identity.rules,
      ...roles.map((role) => listIn(policy.roles, role)),
      policy.rules,
      permissions,
    ].flatMap((rules = []) => (rules.length === 0 ? [] : [this.#compiler.compile(rules)]));
    const isUnruled = policy.rules.length === 0 && permissions.length === 0;
    const isFree =
      identity.method === "anonymous" && !roles.some((role) => Object.hasOwn(policy.roles, role));
    const subject = { clientId, ...(username !== undefined && { username }), claims };
    return new Permissions(
      subject,
      [...this.#rulesOfClient(identity, clientId), ...lists],
      isUnruled && isFree,
    );
  }

  /** A Client Identifier that the client has chosen itself brings it nothing: such rules only deny. */
  #rulesOfClient(identity: Identity, clientId: string): CompiledRules[] {
    const rules = listIn(this.policy.clients, clientId);
    if (rules === undefined) return [];
    const isProven = identity.clientId === clientId;
    return [isProven ? this.#compiler.compile(rules) : this.#compiler.compileDenials(rules)];
  }

  /** Why a connected client may not publish this; undefined when it may. */
  publishRefusalOf(
    connection: Connection,
    topicName: string,
    qos: QoS,
    retain: boolean,
  ): Refusal | undefined {
    if (this.#permissionsOf(connection).mayPublish(topicName, qos, retain)) return undefined;
    return publishingForbidden;
  }

  /** The QoS that a connected client gets, or why it may not subscribe; Shared Subscriptions go by their filter. */
  subscribeDecisionOf(connection: Connection, topicFilter: string, requestedQos: QoS): QoS | Refusal {
    if (isServerFilter(topicFilter)) {
      const isOpen = this.#settings.serverTopicsFor === "everybody";
      const isOperator = connection.identity?.roles.includes(operatorRole);
      return isOpen || isOperator ? requestedQos : serverTopicsForbidden;
    }
    const filter = parseSharedFilter(topicFilter)?.topicFilter ?? topicFilter;
    return this.#permissionsOf(connection).grantedQos(filter, requestedQos) ?? subscribingForbidden;
  }

  #permissionsOf(connection: Connection): Permissions {
    const { policy } = this;
    const known = connection.permissions;
    if (known?.policy === policy) return known.permissions;
    const permissions = this.permissionsFor(
      connection.identity ?? anonymousIdentity,
      connection.client?.clientId ?? "",
    );
    connection.permissions = { policy, permissions };
    return permissions;
  }
}

const publishingForbidden: Refusal = {
  reasonCode: ReasonCode.NotAuthorized,
  reasonString: "No permission to publish this message to this topic",
};

const subscribingForbidden: Refusal = {
  reasonCode: ReasonCode.NotAuthorized,
  reasonString: "No permission to subscribe to this Topic Filter",
};

const serverTopicsForbidden: Refusal = {
  reasonCode: ReasonCode.NotAuthorized,
  reasonString: "$SYS is for operators only",
};

function listIn(lists: Readonly<Record<string, readonly Rule[]>>, name: string): readonly Rule[] | undefined {
  return Object.hasOwn(lists, name) ? lists[name] : undefined;
}
