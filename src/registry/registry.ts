import { DurableObject } from "cloudflare:workers";
import type { z } from "zod";
import type { PasswordAnswer, ScramAnswer } from "../auth/users.ts";
import { type Config, configOf } from "../config.ts";
import type { Usernames } from "../core/access/identity.ts";
import type { Policy } from "../core/access/policy.ts";
import type { Env } from "../env.ts";
import { isRegistry, parseRegistryName, type RegistryPart } from "../registry-address.ts";
import { shardStub } from "../shard-address.ts";
import { DurableObjectSql } from "../storage/durable-object-sql.ts";
import { LazyDatabase } from "../storage/lazy-database.ts";
import { type ApiToken, ApiTokens, type IssueAnswer } from "./api-tokens.ts";
import { type AuditEntry, AuditLog } from "./audit-log.ts";
import { registryMigrations } from "./migrations.ts";
import { PolicyStore, type PutPolicyAnswer } from "./policy-store.ts";
import {
  type PolicyContent,
  policyContentSchema,
  type TokenRequest,
  tokenRequestSchema,
  type UserChange,
  userChangeSchema,
} from "./schemas.ts";
import { ShardNews } from "./shard-news.ts";
import { ShardPush } from "./shard-push.ts";
import { type PutUserAnswer, type User, UserBucket } from "./user-bucket.ts";

export type { ApiToken, AuditEntry, IssueAnswer, PutPolicyAnswer, PutUserAnswer, User };

/** What a shard is told. */
export interface ToldShard {
  /** Returns the version of the policy that holds there now. */
  setPolicy(policy: Policy): Promise<number>;
  /** Returns whether it has. */
  forgetUsers(usernames: Usernames): Promise<boolean>;
}

/** A change, made or refused; shards that have not heard of it yet are told until they have. */
export type Told<Answer> = Answer & { readonly pendingShards: number };

/** What has been changed in a policy, for the audit log. */
export interface PolicyChange {
  readonly action: string;
  readonly target: string;
}

/**
 * What a namespace knows of its users, and what it lets them do. An object is either one of the buckets of users, or the
 * one with the policy, the tokens of the administration and the audit log: its name says which. Called by the Worker and by
 * shards only.
 */
export class Registry extends DurableObject<Env> {
  readonly #users: UserBucket;
  readonly #policies: PolicyStore;
  readonly #news: ShardNews;
  readonly #push: ShardPush;
  readonly #tokens: ApiTokens;
  readonly #audit: AuditLog;
  readonly #config: Config;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const { config, part } = placeOf(state, env);
    this.#config = config;
    const database = new LazyDatabase(new DurableObjectSql(state.storage), registryMigrations);
    const nowMs = (): number => this.nowMs();
    this.#news = new ShardNews(database, config.core.placement.layout.shards);
    this.#policies = new PolicyStore(database, this.#news);
    this.#tokens = new ApiTokens(database, nowMs);
    this.#audit = new AuditLog(database, nowMs);
    this.#push = new ShardPush(this.#news, {
      tell: (shard, subjects) =>
        part === "policy" ? this.#tellPolicy(shard) : this.shard(shard).forgetUsers(subjects),
      // The writes join those of the event; a failure of the store resets the object by itself.
      setAlarm: (delayMs) => void state.storage.setAlarm(this.nowMs() + delayMs),
      clearAlarm: () => void state.storage.deleteAlarm(),
    });
    this.#users = new UserBucket(database, this.#news, this.#push, nowMs);
    if (this.#news.pendingCount > 0) void state.blockConcurrencyWhile(() => this.#ensureAlarm());
  }

  /** In ms since 1970. */
  protected nowMs(): number {
    return Date.now();
  }

  protected shard(index: number): ToldShard {
    return shardStub(this.env, this.#config, index);
  }

  override async alarm(): Promise<void> {
    await this.#push.goOn();
  }

  async putUser(username: string, change: UserChange): Promise<Told<PutUserAnswer>> {
    const parsed = userChangeSchema.safeParse(change);
    if (!parsed.success) return { ...refused(parsed.error), pendingShards: 0 };
    const answer = await this.#users.put(username, parsed.data);
    const isToBeTold = answer.type === "done" && this.#news.pendingCount > 0;
    return { ...answer, pendingShards: isToBeTold ? await this.#push.push() : 0 };
  }

  async deleteUser(username: string): Promise<Told<{ readonly existed: boolean }>> {
    const existed = this.#users.delete(username);
    return { existed, pendingShards: existed ? await this.#push.push() : this.#news.pendingCount };
  }

  getUser(username: string): User | undefined {
    return this.#users.get(username);
  }

  listUsers(after: string, count: number): User[] {
    return this.#users.list(after, count);
  }

  verifyPassword(username: string, password: string): Promise<PasswordAnswer> {
    return this.#users.verifyPassword(username, password);
  }

  scramVerifier(username: string): Promise<ScramAnswer> {
    return this.#users.scramVerifier(username);
  }

  loginSucceeded(username: string): void {
    this.#users.loginSucceeded(username);
  }

  /** `forShard`: who asks in order to keep it, for it will be told of changes. Throws for one that would not be. */
  policy(forShard?: number): Policy {
    const { shards } = this.#config.core.placement.layout;
    if (forShard !== undefined && forShard >= shards) throw new Error(`There is no shard ${forShard} yet`);
    return this.#policies.policy;
  }

  async putPolicy(
    actor: string,
    content: PolicyContent,
    expectedVersion: number,
    change?: PolicyChange,
  ): Promise<Told<PutPolicyAnswer>> {
    const parsed = policyContentSchema.safeParse(content);
    if (!parsed.success) return { ...refused(parsed.error), pendingShards: 0 };
    const answer = this.#policies.put(parsed.data, expectedVersion);
    if (answer.type !== "done") return { ...answer, pendingShards: 0 };
    const { action, target } = change ?? { action: "policy.put", target: `version ${answer.version}` };
    this.#audit.record(actor, action, target);
    this.#push.guard();
    return { ...answer, pendingShards: await this.#push.push() };
  }

  async issueToken(actor: string, request: TokenRequest): Promise<IssueAnswer> {
    const parsed = tokenRequestSchema.safeParse(request);
    if (!parsed.success) return refused(parsed.error);
    const answer = await this.#tokens.issue(parsed.data);
    if (answer.type === "done") this.#audit.record(actor, "token.issue", answer.token.id);
    return answer;
  }

  verifyToken(secret: string): Promise<ApiToken | undefined> {
    return this.#tokens.verify(secret);
  }

  listTokens(): ApiToken[] {
    return this.#tokens.list();
  }

  revokeToken(actor: string, id: string): boolean {
    const isRevoked = this.#tokens.revoke(id);
    if (isRevoked) this.#audit.record(actor, "token.revoke", id);
    return isRevoked;
  }

  /** For changes that are made elsewhere. */
  recordChange(actor: string, action: string, target: string): void {
    this.#audit.record(actor, action, target);
  }

  auditEntries(beforeSeq?: number, count?: number): AuditEntry[] {
    return this.#audit.page(beforeSeq, count);
  }

  /** The runtime gives up an alarm that fails again and again, as it does while the settings cannot be used. */
  async #ensureAlarm(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) === null) this.#push.guard();
  }

  async #tellPolicy(shard: number): Promise<boolean> {
    const { policy } = this.#policies;
    return (await this.shard(shard).setPolicy(policy)) >= policy.version;
  }
}

/** What is wrong is told by its place and kind, not by its value. */
function refused({ issues: [issue] }: z.ZodError): { type: "refused"; reason: string } {
  return { type: "refused", reason: `${issue?.path.join(".")}: ${issue?.message}` };
}

/** Throws for an object that the settings do not have. */
function placeOf({ id }: DurableObjectState, env: Env): { config: Config; part: RegistryPart } {
  const place = id.name === undefined ? undefined : parseRegistryName(id.name);
  const config = place && configOf(env, place.namespace);
  if (place === undefined || config === undefined || !isRegistry(id, config, place.part)) {
    throw new Error(`The settings have no registry ${id.name}`);
  }
  return { config, part: place.part };
}
