/** The administration: what operators do over HTTP. */
import { OpenAPIHono } from "@hono/zod-openapi";
import { version } from "../../version.ts";
import { problem } from "../../problem.ts";
import { auditRoutes } from "./audit.ts";
import { clientRoutes } from "./clients.ts";
import { namespaceRoutes } from "./namespaces.ts";
import { policyRoutes } from "./policy.ts";
import { retainedRoutes } from "./retained.ts";
import { type AdminApp, operatorSecurity } from "./route.ts";
import { sessionRoutes } from "./sessions.ts";
import { tokenRoutes } from "./tokens.ts";
import { userRoutes } from "./users.ts";

/** Everything below `/api/v1`. */
export const admin: AdminApp = new OpenAPIHono({
  defaultHook: (result) => {
    if (result.success) return undefined;
    const [issue] = result.error.issues;
    // By place and kind: the value may be a secret.
    const place = issue?.path.join(".") || result.target;
    return problem(400, "Bad request", `${place}: ${issue?.message}`);
  },
});

const routes = [namespaceRoutes, userRoutes, policyRoutes, tokenRoutes].concat([
  clientRoutes,
  sessionRoutes,
  retainedRoutes,
  auditRoutes,
]);
for (const addRoute of routes.flat()) addRoute(admin);

admin.openAPIRegistry.registerComponent("securitySchemes", operatorSecurity, {
  type: "http",
  scheme: "bearer",
  description: "OPERATOR_TOKEN, or an API token of the namespace",
});

admin.doc31("/openapi.json", {
  openapi: "3.1.0",
  info: { title: "duramq administration", version },
  servers: [{ url: "/api/v1" }],
});
