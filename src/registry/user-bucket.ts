/** A part of the users of a namespace, with what verifies their passwords. */
import { type Bytes, randomBytes } from "../auth/bytes.ts";
import { prepared, usernameBytesMax } from "../auth/sasl-prep.ts";
import { fakeVerifier, makeVerifier, type ScramVerifier, verifyPassword } from "../auth/scram-verifier.ts";
import type { PasswordAnswer, ScramAnswer, UserRights } from "../auth/users.ts";
import type { LazyDatabase, Row } from "../storage/lazy-database.ts";
import type { SqlDatabase } from "../storage/sql-database.ts";
import { LoginThrottle } from "./login-throttle.ts";
import type { UserChange } from "./schemas.ts";
import type { ShardNews } from "./shard-news.ts";
import type { ShardPush } from "./shard-push.ts";

export interface User extends UserRights {
  readonly username: string;
  readonly disabled: boolean;
  /** In ms since 1970. */
  readonly updatedAtMs: number;
}

export type PutUserAnswer =
  | { readonly type: "done"; readonly user: User }
  | { readonly type: "refused"; readonly reason: string };

interface StoredUser extends User {
  readonly verifier: ScramVerifier;
}

export const usersPerBucketMax = 100_000;
export const usersPerPageMax = 500;

/** Each takes tens of milliseconds of the processor; more would wait longer than clients do. */
const verificationsAtOnceMax = 64;

const secretBytes = 32;

export class UserBucket {
  readonly #database: LazyDatabase;
  readonly #news: Pick<ShardNews, "add">;
  readonly #push: Pick<ShardPush, "guard">;
  readonly #nowMs: () => number;
  readonly #throttle = new LoginThrottle();
  #verifications = 0;
  #count: number | undefined;

  constructor(
    database: LazyDatabase,
    news: Pick<ShardNews, "add">,
    push: Pick<ShardPush, "guard">,
    nowMs: () => number,
  ) {
    this.#database = database;
    this.#news = news;
    this.#push = push;
    this.#nowMs = nowMs;
  }

  /** Without a password in the change the user keeps the one there is. */
  async put(username: string, { password, ...change }: UserChange): Promise<PutUserAnswer> {
    const name = prepared(username, usernameBytesMax);
    if (name === undefined)
      return refused(`A user name has 1 to ${usernameBytesMax} bytes, and no control character`);
    const made = password === undefined ? undefined : await makeVerifier(password);
    if (password !== undefined && made === undefined) {
      return refused("A password has 1 to 1024 bytes, and no control character");
    }
    // Looked up after the wait, so that nothing comes between this and the write.
    const known = this.#find(name);
    const verifier = made ?? known?.verifier;
    if (verifier === undefined) return refused("A new user needs a password");
    if (known === undefined && this.#userCount() >= usersPerBucketMax)
      return refused("There are too many users");
    const user: User = { username: name, ...change, updatedAtMs: this.#nowMs() };
    // Of somebody new no shard can know anything that does not hold any more.
    if (known === undefined) this.#database.write((database) => writeUser(database, user, verifier));
    else this.#change(name, (database) => writeUser(database, user, verifier));
    this.#count = this.#userCount() + (known === undefined ? 1 : 0);
    this.#throttle.succeeded(name);
    return { type: "done", user };
  }

  /** Whether there was the user. */
  delete(username: string): boolean {
    if (this.#find(username) === undefined) return false;
    const count = this.#userCount();
    this.#change(username, (database) => database.run("DELETE FROM user WHERE username = ?", username));
    this.#count = count - 1;
    return true;
  }

  get(username: string): User | undefined {
    const found = this.#find(username);
    return found && publicPart(found);
  }

  /** In the order of their names, after the one given. */
  list(after: string, count: number): User[] {
    const rows = this.#database.rows(
      "SELECT * FROM user WHERE username > ? ORDER BY username LIMIT ?",
      after,
      Math.min(count, usersPerPageMax),
    );
    return rows.map((row) => publicPart(toUser(row)));
  }

  /** One derivation, whether there is the user or not, and whatever is wrong. */
  async verifyPassword(username: string, password: string): Promise<PasswordAnswer> {
    if (this.#verifications >= verificationsAtOnceMax) return { type: "busy" };
    if (!this.#throttle.admit(username, this.#nowMs())) return { type: "busy" };
    this.#verifications += 1;
    try {
      const { verifier, user } = await this.#verifierOf(username);
      const isRight = await verifyPassword(password, verifier);
      if (this.#find(username) === undefined) return { type: "unknown" };
      if (!isRight || user === undefined) return { type: "wrong" };
      this.#throttle.succeeded(username);
      return { type: "verified", username, rights: rightsOf(user) };
    } finally {
      this.#verifications -= 1;
    }
  }

  async scramVerifier(username: string): Promise<ScramAnswer> {
    if (!this.#throttle.admit(username, this.#nowMs())) return { type: "busy" };
    const { verifier, user } = await this.#verifierOf(username);
    return { type: "verifier", verifier, ...(user !== undefined && { rights: rightsOf(user) }) };
  }

  loginSucceeded(username: string): void {
    this.#throttle.succeeded(username);
  }

  /** Of a user who may log in; others have one that nobody's password goes with. Both take the same steps. */
  async #verifierOf(username: string): Promise<{ verifier: ScramVerifier; user?: StoredUser }> {
    const fake = await fakeVerifier(username, this.#secret());
    const user = this.#find(username);
    return user === undefined || user.disabled ? { verifier: fake } : { verifier: user.verifier, user };
  }

  /** For good, or a user who does not exist would have another salt tomorrow. */
  #secret(): Bytes {
    const row = this.#database.first("SELECT bytes FROM secret");
    if (row !== undefined) return row["bytes"] as Bytes;
    const made = randomBytes(secretBytes);
    this.#database.write((database) => database.run("INSERT INTO secret VALUES (1, ?)", made));
    return made;
  }

  #find(username: string): StoredUser | undefined {
    const row = this.#database.first("SELECT * FROM user WHERE username = ?", username);
    return row && toUser(row);
  }

  /** A change is kept with the shards that have to hear of it, and with the alarm that has them told. */
  #change(username: string, write: (database: Pick<SqlDatabase, "run">) => void): void {
    this.#database.write((database) => {
      write(database);
      this.#news.add(database, username);
    });
    this.#push.guard();
  }

  #userCount(): number {
    this.#count ??= Number(this.#database.first("SELECT COUNT(*) AS users FROM user")?.["users"] ?? 0);
    return this.#count;
  }
}

function refused(reason: string): PutUserAnswer {
  return { type: "refused", reason };
}

function publicPart(stored: StoredUser): User {
  const { verifier: _, ...user } = stored;
  return user;
}

function rightsOf({ clientId, roles, rules }: User): UserRights {
  return { ...(clientId !== undefined && { clientId }), roles, rules };
}

function writeUser(database: Pick<SqlDatabase, "run">, user: User, verifier: ScramVerifier): void {
  database.run(
    "INSERT OR REPLACE INTO user VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    user.username,
    verifier.salt,
    verifier.iterations,
    verifier.storedKey,
    verifier.serverKey,
    JSON.stringify(user.roles),
    JSON.stringify(user.rules),
    user.disabled ? 1 : 0,
    user.updatedAtMs,
    user.clientId ?? null,
  );
}

function toUser(row: Row): StoredUser {
  const clientId = row["client_id"] as string | null;
  return {
    username: row["username"] as string,
    ...(clientId !== null && { clientId }),
    roles: JSON.parse(row["roles"] as string),
    rules: JSON.parse(row["rules"] as string),
    disabled: row["disabled"] === 1,
    updatedAtMs: Number(row["updated_at_ms"]),
    verifier: {
      salt: row["salt"] as Bytes,
      iterations: Number(row["iterations"]),
      storedKey: row["stored_key"] as Bytes,
      serverKey: row["server_key"] as Bytes,
    },
  };
}
