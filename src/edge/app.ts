import { type Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { ConfigError, defaultNamespace } from "../config.ts";
import type { Env } from "../env.ts";
import { admin } from "./admin/admin.ts";
import { ProblemError } from "./admin/problem-error.ts";
import { exportPart } from "./backup-export.ts";
import { importPart } from "./backup-import.ts";
import { operatorRefusalOf } from "./operator.ts";
import { problem } from "../problem.ts";
import { settingsOf } from "../settings.ts";
import { handleUpgrade } from "./upgrade.ts";

type EdgeContext = Context<{ Bindings: Env }>;

/** All that the broker answers over HTTP. */
export const app = new Hono<{ Bindings: Env }>();

app.use(async (context, next) => {
  settingsOf(context.env, defaultNamespace);
  await next();
});

app.get("/healthz", (context) => context.text("ok"));

app.get("/mqtt", (context) => connect(context, defaultNamespace));

app.get("/mqtt/:namespace", (context) => connect(context, context.req.param("namespace")));

app.on(["GET", "POST"], "/api/v1/backup", (context) => backup(context, defaultNamespace));

app.on(["GET", "POST"], "/api/v1/backup/:namespace", (context) =>
  backup(context, context.req.param("namespace")),
);
app.route("/api/v1", admin);

app.notFound(nothingThere);

app.onError((error) => {
  if (error instanceof ProblemError) return error.response;
  if (error instanceof HTTPException) return problem(error.status, "Bad request", error.message);
  if (error instanceof ConfigError) {
    console.error(`duramq: setting ${error.message}`);
    return problem(500, "Misconfigured", `Setting ${error.message}`);
  }
  console.error("duramq: request failed", error);
  return problem(500, "Internal error", "The request failed");
});

function connect(context: EdgeContext, namespace: string): Response | Promise<Response> {
  const config = settingsOf(context.env, namespace);
  if (config === undefined) return nothingThere(context);
  return handleUpgrade(context.req.raw, context.env, config, context.executionCtx);
}

async function backup(context: EdgeContext, namespace: string): Promise<Response> {
  const config = settingsOf(context.env, namespace);
  if (config === undefined) return nothingThere(context);
  const request = context.req.raw;
  const refusal = await operatorRefusalOf(request, config);
  if (refusal !== undefined) return refusal;
  return request.method === "GET"
    ? exportPart(request, context.env, config)
    : importPart(request, context.env, config);
}

function nothingThere(context: EdgeContext): Response {
  return problem(404, "Not found", `There is nothing at ${context.req.path}`);
}
