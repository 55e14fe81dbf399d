/**
 * A broker without a runtime: what the Worker answers over HTTP, the registry over SQLite in memory, and shards of the
 * test harness. Objects are called as by RPC: arguments and answers are copies.
 */
import { vi } from "vitest";
import { app } from "../../../src/edge/app.ts";
import { Registry } from "../../../src/registry/registry.ts";
import { ShardAdministration } from "../../../src/shard/shard-administration.ts";
import type { Policy } from "../../../src/core/access/policy.ts";
import type { RetainedQuery } from "../../../src/core/administration/administration.ts";
import type {
  ClientQuery,
  SessionQuery,
  SubscriptionQuery,
} from "../../../src/core/administration/session-queries.ts";
import { Harness } from "../../core/harness.ts";
import type { SimulatedShard } from "../../core/simulated-shard.ts";
import { NodeSql } from "../../storage/node-sql.ts";

vi.mock("cloudflare:workers", () => ({
  DurableObject: class {
    readonly ctx: unknown;
    readonly env: unknown;

    constructor(ctx: unknown, env: unknown) {
      this.ctx = ctx;
      this.env = env;
    }
  },
}));

export const operatorToken = "a-secret-that-only-operators-know";

type Methods = Readonly<Record<string, (...parameters: unknown[]) => unknown>>;

export interface Question {
  /** Absent: the operator's; "": none. */
  readonly token?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Asked {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export interface BrokerOptions {
  readonly shards?: number;
  /** More settings of the Worker. */
  readonly settings?: Readonly<Record<string, string | undefined>>;
}

export class Broker {
  readonly harness: Harness;
  /** Calls so far: "NAME OF THE OBJECT METHOD". */
  readonly calls: string[] = [];
  /** What a call comes to instead, by "NAME OF THE OBJECT METHOD" or the name of the object. */
  readonly instead = new Map<string, () => Promise<unknown>>();
  /** What happens when the Worker has called, and before it goes on. */
  afterCall: (call: string) => Promise<void> = async () => {};
  readonly #env: object;
  readonly #objects = new Map<string, object>();

  constructor({ shards = 3, settings = {} }: BrokerOptions = {}) {
    this.harness = new Harness({ shards });
    this.#env = {
      SHARDS: String(shards),
      OPERATOR_TOKEN: operatorToken,
      ...settings,
      SHARD: this.#namespace(),
      REGISTRY: this.#namespace(),
    };
  }

  fetch = async (request: Request): Promise<Response> => app.fetch(request, this.#env as never);

  /** Below `/api/v1`, and below the default namespace if the path names none. */
  async ask(method: string, path: string, question: Question = {}): Promise<Asked> {
    const { token = operatorToken, body, headers = {} } = question;
    const below = /^\/(?:namespaces|openapi\.json|backup)/.test(path) ? path : `/namespaces/default${path}`;
    const request = new Request(`https://broker.example/api/v1${below}`, {
      method,
      headers: {
        ...(token !== "" && { authorization: `Bearer ${token}` }),
        "content-type": "application/json",
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const response = await this.fetch(request);
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>),
    };
  }

  /** The secret of a new token. */
  async issue(scopes: readonly string[], lifeMs = 60_000): Promise<string> {
    const body = { name: "test", scopes, expiresAtMs: this.harness.nowMs + lifeMs };
    const { json, status, text } = await this.ask("POST", "/tokens", { body });
    if (status !== 201) throw new Error(text);
    return json["secret"] as string;
  }

  /** "ACTION TARGET" of what the audit log has, the oldest first. */
  async audited(): Promise<string[]> {
    const { json } = await this.ask("GET", "/audit?limit=500");
    const entries = json["items"] as { readonly action: string; readonly target: string }[];
    return entries.map(({ action, target }) => `${action} ${target}`).toReversed();
  }

  /** Calls an object as the Worker does. */
  async call(name: string, method: string, ...parameters: unknown[]): Promise<unknown> {
    const object = this.#objects.get(name) ?? this.#construct(name);
    this.#objects.set(name, object);
    return structuredClone(await (object as Methods)[method]?.(...structuredClone(parameters)));
  }

  #namespace(): object {
    return { getByName: (name: string) => this.#stub(name) };
  }

  #stub(name: string): object {
    const call = async (method: string, parameters: unknown[]): Promise<unknown> => {
      this.calls.push(`${name} ${method}`);
      const instead = this.instead.get(`${name} ${method}`) ?? this.instead.get(name);
      if (instead !== undefined) return instead();
      const answer = await this.call(name, method, ...parameters);
      await this.afterCall(`${name} ${method}`);
      return answer;
    };
    return new Proxy(
      {},
      {
        get:
          (_, method) =>
          (...parameters: unknown[]) =>
            call(String(method), parameters),
      },
    );
  }

  /** Of a shard the name is "NAMESPACE/INDEX". */
  #construct(name: string): object {
    const index = /^[^/]+\/(\d+)$/.exec(name)?.[1];
    return index === undefined ? this.#registry(name) : new ShardObject(this.harness, Number(index));
  }

  #registry(name: string): Registry {
    const { harness } = this;
    class RegistryOnTime extends Registry {
      protected override nowMs(): number {
        return harness.nowMs;
      }
    }
    return new RegistryOnTime({ id: { name }, storage: storageInMemory() } as never, this.#env as never);
  }
}

/** What the administration calls of a shard. */
class ShardObject {
  readonly #harness: Harness;
  readonly #shard: SimulatedShard;
  readonly #administration: ShardAdministration;

  constructor(harness: Harness, index: number) {
    this.#harness = harness;
    this.#shard = harness.shards[index] as SimulatedShard;
    this.#administration = new ShardAdministration(
      () => this.#shard.core.administration,
      (input) => {
        if (input.type === "administer") harness.administer(this.#shard, input.order);
        else this.#shard.handle(input);
      },
    );
  }

  cost = () => this.#shard.cost.figures();
  clients = (query: ClientQuery) => this.#questions.clients(query);
  client = (clientId: string) => this.#questions.client(clientId);
  sessions = (query: SessionQuery) => this.#questions.sessions(query);
  session = (clientId: string) => this.#questions.session(clientId);
  subscriptions = (query: SubscriptionQuery) => this.#questions.subscriptions(query);
  retainedNames = (query: RetainedQuery) => this.#questions.retainedNames(query);
  retainedMessage = (topicName: string) => this.#questions.retained(topicName, this.#harness.nowMs);
  disconnect = (clientId: string) => this.#administration.disconnect(clientId);
  endSession = (clientId: string) => this.#administration.endSession(clientId);
  deleteRetained = (query: RetainedQuery) => this.#administration.deleteRetained(query);
  forgetUsers = (): boolean => true;

  setPolicy(policy: Policy): number {
    this.#shard.handle({ type: "policy", policy });
    return policy.version;
  }

  get #questions() {
    return this.#administration.questions;
  }
}

function storageInMemory(): object {
  const database = new NodeSql();
  return {
    sql: {
      databaseSize: 0,
      exec(sql: string, ...parameters: never[]) {
        const rows = [...database.query(sql, ...parameters)];
        return Object.assign(rows, { toArray: () => rows, rowsRead: 0, rowsWritten: 0 });
      },
    },
    transactionSync: (work: () => void) => database.transaction(work),
    setAlarm: () => {},
    deleteAlarm: () => {},
  };
}
