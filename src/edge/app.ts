import { Hono } from "hono";
import { ConfigError, parseConfig } from "../config.ts";
import type { Env } from "../env.ts";
import { problem } from "./problem.ts";
import { handleUpgrade } from "./upgrade.ts";

/** All that the broker answers over HTTP. */
export const app = new Hono<{ Bindings: Env }>();

app.use(async (context, next) => {
  parseConfig(context.env);
  await next();
});

app.get("/healthz", (context) => context.text("ok"));

app.get("/mqtt", (context) => handleUpgrade(context.req.raw, context.env));

app.notFound((context) => problem(404, "Not found", `There is nothing at ${context.req.path}`));

app.onError((error) => {
  if (error instanceof ConfigError) {
    console.error(`duramq: setting ${error.message}`);
    return problem(500, "Misconfigured", `Setting ${error.message}`);
  }
  console.error("duramq: request failed", error);
  return problem(500, "Internal error", "The request failed");
});
