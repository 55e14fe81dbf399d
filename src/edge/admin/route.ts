/** Routes of the administration: what each needs, takes and gives is said as data, and checked before it is handled. */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { type Config, defaultNamespace } from "../../config.ts";
import type { Env } from "../../env.ts";
import { RegistryClient } from "../../registry-client.ts";
import { settingsOf } from "../../settings.ts";
import { authorize } from "./authorization.ts";
import { problem } from "../../problem.ts";
import { nothingThere } from "./problem-error.ts";
import type { NeededScope } from "./scopes.ts";
import { Shards } from "./shards.ts";

/** Who asks, and about which namespace. */
interface Caller {
  /** For the audit log. */
  readonly actor: string;
  readonly config: Config;
  readonly registry: RegistryClient;
  readonly shards: Shards;
}

type AdminEnv = { Bindings: Env; Variables: { caller: Caller } };
export type AdminApp = OpenAPIHono<AdminEnv>;

export interface AdminRequest<Params, Query, Body> extends Caller {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly ifMatch: string | undefined;
  readonly variables: object;
  setHeader(name: string, value: string): void;
}

interface RouteDefinition<
  Params extends z.ZodObject,
  Query extends z.ZodObject,
  Body extends z.ZodType,
  Answer extends z.ZodType,
> {
  readonly method: "get" | "put" | "post" | "delete";
  /** Below the namespace, but for what begins with "/namespaces". */
  readonly path: string;
  readonly needs: NeededScope;
  readonly summary: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  /** For the OpenAPI document; whoever handles the request looks at `ifMatch`. */
  readonly headers?: z.ZodObject;
  /** Absent: 204. */
  readonly answer?: Answer;
  readonly status?: 200 | 201;
  handle(
    request: AdminRequest<z.output<Params>, z.output<Query>, z.output<Body>>,
  ): Promise<z.input<NoInfer<Answer>>>;
}

export type AddRoute = (app: AdminApp) => void;

const noParams = z.object({});
const namespaceParam = z.object({ namespace: z.string().max(63) });
const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number(),
  detail: z.string(),
});
const problemAnswer = {
  description: "Why not (RFC 9457)",
  content: { "application/problem+json": { schema: problemSchema } },
};

/** A policy of the size that the registry takes, as JSON. */
const bodyBytesMax = 2 * 1024 * 1024;

/** It may read the body to its end, so it comes after {@link guard}. */
const limitBody = bodyLimit({
  maxSize: bodyBytesMax,
  onError: () => problem(413, "Too large", `A request has ${bodyBytesMax} bytes at most`),
});

export const operatorSecurity = "bearer";

/** The schema, with a description for those kinds of schemas that the generator does not know. */
export function documented<Schema extends z.ZodType>(schema: Schema): Schema {
  // A schema that is older than the generator's module cannot be described; its clone can.
  return schema.clone().openapi(descriptionOf(schema)) as Schema;
}

/** As JSON Schema. */
export function descriptionOf(schema: z.ZodType): object {
  const { $schema: _, "~standard": __, ...description } = z.toJSONSchema(schema, { io: "input" });
  return description;
}

export function route<
  Params extends z.ZodObject = z.ZodObject<Record<never, never>>,
  Query extends z.ZodObject = z.ZodObject<Record<never, never>>,
  Body extends z.ZodType = z.ZodUndefined,
  Answer extends z.ZodType = z.ZodVoid,
>(definition: RouteDefinition<Params, Query, Body, Answer>): AddRoute {
  const { answer, body, handle, headers, method, needs, params, path, query, summary } = definition;
  const { status = 200 } = definition;
  const isOfNamespace = !path.startsWith("/namespaces");
  const known = isOfNamespace ? namespaceParam.extend((params ?? noParams).shape) : params;
  const description = createRoute({
    method,
    path: isOfNamespace ? `/namespaces/{namespace}${path}` : path,
    summary,
    description: needs === "operator" ? "Needs OPERATOR_TOKEN" : `Needs the scope ${needs}`,
    security: [{ [operatorSecurity]: [] }],
    middleware: [guard(needs), limitBody],
    request: {
      ...(known !== undefined && { params: known }),
      ...(query !== undefined && { query }),
      ...(headers !== undefined && { headers }),
      ...(body !== undefined && {
        body: { required: true, content: { "application/json": { schema: body } } },
      }),
    },
    responses: {
      ...(answer === undefined
        ? { 204: { description: "Done" } }
        : { [status]: { description: "Done", content: { "application/json": { schema: answer } } } }),
      "4XX": problemAnswer,
      "5XX": problemAnswer,
    },
  });
  const respond = async (context: Context<AdminEnv>): Promise<Response> => {
    // Checked by the schemas before.
    const valid = (part: string): never => context.req.valid(part as never) as never;
    const result = await handle({
      ...context.get("caller"),
      params: valid("param"),
      query: valid("query"),
      body: valid("json"),
      ifMatch: context.req.header("if-match"),
      variables: context.env,
      setHeader: (name, value) => context.header(name, value),
    });
    context.header("cache-control", "no-store");
    return answer === undefined ? context.body(null, 204) : context.json(result as object, status);
  };
  return (app) => void app.openapi(description, respond as never);
}

/** Nobody gets further who may not; nothing that was sent is looked at before. */
function guard(needs: NeededScope): MiddlewareHandler<AdminEnv> {
  return async (context, next) => {
    const namespace = context.req.param("namespace") ?? defaultNamespace;
    const config = settingsOf(context.env, namespace);
    if (config === undefined) throw nothingThere("There is no such namespace");
    const registry = new RegistryClient(context.env, config);
    const actor = await authorize(context.req.raw, config, registry, needs);
    context.set("caller", { actor, config, registry, shards: new Shards(context.env, config) });
    await next();
  };
}
