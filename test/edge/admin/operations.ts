/** Every operation of the administration, each with a request that a broker with {@link people} grants. */
import { SimulatedClient, bytesOf, willMessage } from "../../core/simulated-client.ts";
import type { Broker, Question } from "./broker.ts";

export interface Operation {
  /** What a token needs for it; "operator": no token will do. */
  readonly scope: string;
  readonly path: string;
  readonly question?: Question;
  /** "ACTION TARGET" in the audit log; absent: it changes nothing. */
  readonly audited?: string | RegExp;
}

const rule = { effect: "allow", action: "all", topicFilter: "a/#", qosMax: 1, retain: false } as const;
const ban = { by: "client", value: "mallory" };
const anyVersion = { "if-match": "*" };

/** By what the OpenAPI document calls them; "GET /users" is that below a namespace. `tokenId`: see {@link people}. */
export function operationsWith(tokenId: string): Readonly<Record<string, Operation>> {
  return {
    "GET /namespaces": { scope: "operator", path: "/namespaces" },
    "GET /users": { scope: "users:read", path: "/users" },
    "GET /users/{username}": { scope: "users:read", path: "/users/ann" },
    "PUT /users/{username}": {
      scope: "users:write",
      path: "/users/ann",
      question: { body: { password: "a-secret-pencil", roles: ["reader"], rules: [rule] } },
      audited: "user.put ann",
    },
    "DELETE /users/{username}": { scope: "users:write", path: "/users/ann", audited: "user.delete ann" },
    "GET /policy": { scope: "policy:read", path: "/policy" },
    "PUT /policy": {
      scope: "policy:write",
      path: "/policy",
      question: { body: { rules: [rule], clients: { "a-secret-client": [] } }, headers: anyVersion },
      audited: "policy.put policy",
    },
    "GET /rules": { scope: "policy:read", path: "/rules" },
    "PUT /rules": {
      scope: "policy:write",
      path: "/rules",
      question: { body: { rules: [{ ...rule, topicFilter: "a-secret-topic" }] } },
      audited: "rules.put everybody",
    },
    "GET /roles": { scope: "policy:read", path: "/roles" },
    "PUT /roles/{role}": {
      scope: "policy:write",
      path: "/roles/writer",
      question: { body: { rules: [{ ...rule, topicFilter: "a-secret-topic" }] } },
      audited: "role.put writer",
    },
    "DELETE /roles/{role}": { scope: "policy:write", path: "/roles/reader", audited: "role.delete reader" },
    "GET /bans": { scope: "policy:read", path: "/bans" },
    "POST /bans": {
      scope: "policy:write",
      path: "/bans",
      question: { body: { ...ban, untilMs: 1_900_000_000_000 } },
      audited: "ban.put client mallory",
    },
    "DELETE /bans": {
      scope: "policy:write",
      path: `/bans?${new URLSearchParams(ban).toString()}`,
      audited: "ban.delete client mallory",
    },
    "GET /tokens": { scope: "operator", path: "/tokens" },
    "POST /tokens": {
      scope: "operator",
      path: "/tokens",
      question: { body: { name: "a-secret-name", scopes: ["read"], expiresAtMs: 1_900_000_000_000 } },
      audited: /^token\.issue [0-9a-f]{16}$/,
    },
    "DELETE /tokens/{id}": {
      scope: "operator",
      path: `/tokens/${tokenId}`,
      audited: `token.revoke ${tokenId}`,
    },
    "GET /clients": { scope: "clients:read", path: "/clients" },
    "GET /clients/{clientId}": { scope: "clients:read", path: "/clients/here%2F1" },
    "DELETE /clients/{clientId}": {
      scope: "clients:write",
      path: "/clients/here%2F1",
      audited: "client.disconnect here/1",
    },
    "GET /sessions": { scope: "sessions:read", path: "/sessions" },
    "GET /sessions/{clientId}": { scope: "sessions:read", path: "/sessions/away" },
    "DELETE /sessions/{clientId}": {
      scope: "sessions:write",
      path: "/sessions/away",
      audited: "session.delete away",
    },
    "GET /subscriptions": { scope: "subscriptions:read", path: "/subscriptions" },
    "GET /retained": { scope: "retained:read", path: "/retained?topicFilter=a/%23" },
    "GET /retained/message": { scope: "retained:read", path: "/retained/message?topicName=a/b" },
    "DELETE /retained": {
      scope: "retained:write",
      path: "/retained?topicFilter=a/%23",
      audited: "retained.delete a/#",
    },
    "GET /audit": { scope: "audit:read", path: "/audit" },
    "GET /cost": { scope: "cost:read", path: "/cost" },
  };
}

export const operationNames: readonly string[] = Object.keys(operationsWith(""));

/** Something of everything, with all that it can have. */
export async function people(broker: Broker): Promise<Readonly<Record<string, Operation>>> {
  const { harness } = broker;
  const rules = [{ effect: "allow", action: "all", topicFilter: "#" }] as const;
  const identity = { method: "password", username: "ann", roles: ["reader"], claims: {}, rules } as const;
  const here = SimulatedClient.connected(harness, {
    clientId: "here/1",
    identity,
    address: "192.0.2.1",
    will: willMessage("gone"),
  });
  here.subscribe("a/#", 1, { subscriptionIdentifier: 7, noLocal: true });
  here.subscribe("$share/group/a/#", 2);
  const away = SimulatedClient.connected(harness, {
    clientId: "away",
    cleanStart: false,
    sessionExpiryIntervalSec: 3600,
  });
  away.subscribe("a/+", 1);
  away.lose();
  here.publish("a/b", "21", {
    qos: 1,
    retain: true,
    contentType: "text/plain",
    responseTopic: "a/answer",
    correlationData: bytesOf("7"),
    payloadFormatIndicator: 1,
    userProperties: [["unit", "C"]],
    messageExpiryIntervalSec: 3600,
  });
  await broker.ask("PUT", "/users/ann", { body: { password: "another-secret", rules: [rule] } });
  const roles = { reader: [rule] };
  await broker.ask("PUT", "/policy", { body: { rules: [rule], roles, bans: [ban] }, headers: anyVersion });
  const body = { name: "of people", scopes: ["read"], expiresAtMs: harness.nowMs + 60_000 };
  const { json } = await broker.ask("POST", "/tokens", { body });
  return operationsWith((json["token"] as { readonly id: string }).id);
}
