import type { QoS } from "../packet.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Refusal } from "../refusal.ts";
import type { ShardStorage } from "../storage-port.ts";
import { parseSharedFilter } from "../topic.ts";
import { isServerFilter, isServerTopic } from "../topics/server-topics.ts";
import type { Presence } from "./bans.ts";
import { Bans } from "./bans.ts";
import type { Owner } from "./identity.ts";
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

/** A session, as far as it is judged: by whom it belongs to, with a connection or without. */
export interface Judged {
  readonly clientId: string;
  /** Absent when nobody knows: then it may do what an anonymous client may. */
  readonly owner: Owner | undefined;
  /** What it may do, as worked out under a policy. */
  permissions: { readonly policy: Policy; readonly permissions: Permissions } | undefined;
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
  /** Undefined until it is read; null when none has been brought here yet. */
  #known: Policy | null | undefined;
  #bans: Bans | undefined;
  #hasUnwritten = false;

  constructor(settings: AccessSettings, storage: Pick<ShardStorage, "readPolicy">) {
    this.#settings = settings;
    this.#storage = storage;
  }

  /** Read when it is first asked for. */
  get policy(): Policy {
    return this.#read() ?? emptyPolicy;
  }

  /** False until the first policy is brought here. That may be one of version 0: the namespace has none. */
  get isPolicyKnown(): boolean {
    return this.#read() !== null;
  }

  get hasUnwritten(): boolean {
    return this.#hasUnwritten;
  }

  /** False for a policy that is not newer than the one that is known: nothing is done then. */
  replacePolicy(policy: Policy): boolean {
    if (this.isPolicyKnown && policy.version <= this.policy.version) return false;
    this.#known = normalPolicy(policy);
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
  permissionsFor(identity: Owner, clientId: string): Permissions {
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
  #rulesOfClient(identity: Owner, clientId: string): CompiledRules[] {
    const rules = listIn(this.policy.clients, clientId);
    if (rules === undefined) return [];
    const isProven = identity.clientId === clientId;
    return [isProven ? this.#compiler.compile(rules) : this.#compiler.compileDenials(rules)];
  }

  /** Why a client may not publish this; undefined when it may. */
  publishRefusalOf(session: Judged, topicName: string, qos: QoS, retain: boolean): Refusal | undefined {
    if (this.#permissionsOf(session).mayPublish(topicName, qos, retain)) return undefined;
    return publishingForbidden;
  }

  /** The QoS that a client gets, or why it may not subscribe; Shared Subscriptions go by their filter. */
  subscribeDecisionOf(session: Judged, topicFilter: string, requestedQos: QoS): QoS | Refusal {
    if (isServerFilter(topicFilter)) {
      return this.#mayReadServerTopics(session) ? requestedQos : serverTopicsForbidden;
    }
    const filter = parseSharedFilter(topicFilter)?.topicFilter ?? topicFilter;
    return this.#permissionsOf(session).grantedQos(filter, requestedQos) ?? subscribingForbidden;
  }

  #read(): Policy | null {
    if (this.#known === undefined) {
      const stored = this.#storage.readPolicy();
      this.#known = stored === undefined ? null : normalPolicy(stored);
    }
    return this.#known;
  }

  /**
   * Whether a client could subscribe to this Topic Name. So it is for all that comes by a subscription which the
   * present policy grants: {@link Permissions.grantedQos} sees to it.
   */
  mayReceive(session: Judged, topicName: string): boolean {
    if (isServerTopic(topicName)) return this.#mayReadServerTopics(session);
    const permissions = this.#permissionsOf(session);
    return permissions.allowsEverything || permissions.grantedQos(topicName, 0) !== undefined;
  }

  #mayReadServerTopics({ owner }: Judged): boolean {
    return this.#settings.serverTopicsFor === "everybody" || owner?.roles.includes(operatorRole) === true;
  }

  #permissionsOf(session: Judged): Permissions {
    const { policy } = this;
    const known = session.permissions;
    if (known?.policy === policy) return known.permissions;
    const permissions = this.permissionsFor(session.owner ?? anonymousIdentity, session.clientId);
    session.permissions = { policy, permissions };
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
