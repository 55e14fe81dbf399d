/** The registry of a namespace, as the Worker and the shards use it. */
import { prepared, usernameBytesMax } from "./auth/sasl-prep.ts";
import type { PasswordAnswer, ScramAnswer, Users } from "./auth/users.ts";
import type { Config } from "./config.ts";
import type { Env } from "./env.ts";
import { registryStub, type RegistryStub, userBucketOf, userBuckets } from "./registry-address.ts";
import type { PutUserAnswer, Told, User } from "./registry/registry.ts";
import type { UserChange } from "./registry/schemas.ts";

export interface UserPage {
  readonly users: readonly User[];
  /** Where the next page begins; absent after the last. */
  readonly cursor?: string;
}

export class RegistryClient implements Users {
  readonly #env: Pick<Env, "REGISTRY">;
  readonly #config: Config;

  constructor(env: Pick<Env, "REGISTRY">, config: Config) {
    this.#env = env;
    this.#config = config;
  }

  /** The object with policy, tokens and audit log. */
  get policies(): RegistryStub {
    return registryStub(this.#env, this.#config, "policy");
  }

  verifyPassword(username: string, password: string): Promise<PasswordAnswer> {
    return this.#bucket(username).verifyPassword(username, password);
  }

  scramVerifier(username: string): Promise<ScramAnswer> {
    return this.#bucket(username).scramVerifier(username);
  }

  loginSucceeded(username: string): Promise<void> {
    return this.#bucket(username).loginSucceeded(username);
  }

  /** The audit log tells of it first: no change is made that it does not know. */
  async putUser(actor: string, username: string, change: UserChange): Promise<Told<PutUserAnswer>> {
    await this.policies.recordChange(actor, "user.put", username);
    const name = userNameOf(username);
    return this.#bucket(name).putUser(name, change);
  }

  async deleteUser(actor: string, username: string): Promise<Told<{ readonly existed: boolean }>> {
    await this.policies.recordChange(actor, "user.delete", username);
    const name = userNameOf(username);
    return this.#bucket(name).deleteUser(name);
  }

  getUser(username: string): Promise<User | undefined> {
    const name = userNameOf(username);
    return this.#bucket(name).getUser(name);
  }

  /** Bucket by bucket, so not in the order of names. `cursor` is from the page before; undefined for one that is not. */
  async listUsers(count: number, cursor = "0/"): Promise<UserPage | undefined> {
    const [, first, after = ""] = /^(\d{1,2})\/(.*)$/s.exec(cursor) ?? [];
    if (first === undefined || Number(first) >= userBuckets) return undefined;
    const users: User[] = [];
    for (let bucket = Number(first); bucket < userBuckets; bucket += 1) {
      const begin = bucket === Number(first) ? after : "";
      const found = await registryStub(this.#env, this.#config, bucket).listUsers(
        begin,
        count - users.length,
      );
      users.push(...found);
      const last = found.at(-1);
      if (users.length >= count && last !== undefined) return { users, cursor: `${bucket}/${last.username}` };
    }
    return { users };
  }

  #bucket(username: string): RegistryStub {
    return registryStub(this.#env, this.#config, userBucketOf(username));
  }
}

/** The name by which a user is kept. One that nobody may have is nobody's in any bucket. */
function userNameOf(username: string): string {
  return prepared(username, usernameBytesMax) ?? username;
}
