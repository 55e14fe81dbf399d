import { tokenParameter } from "../auth/credentials.ts";
import { encodeIdentity, identityHeader } from "../auth/identity-header.ts";
import type { Config } from "../config.ts";
import type { Identity } from "../core/access/identity.ts";
import type { Env } from "../env.ts";
import { assignedClientIdHeader, clientAddressHeader, shardStub } from "../shard-address.ts";
import { chooseSubprotocol } from "../subprotocol.ts";
import { isRateKept } from "./connect-rate.ts";
import { admit } from "./admission.ts";
import { clientAddressOf } from "./client-address.ts";
import { problem } from "../problem.ts";
import type { RelaySocket } from "./relay-socket.ts";
import { Relay, ShardBusy } from "./relay.ts";

/** As for Client Identifiers themselves; the hint travels in the socket's attachment. */
const clientIdHintLengthMax = 256;

/** The parameter of the address that says which Client Identifier CONNECT will have. */
const clientIdParameter = "clientId";

/** What the Worker tells shards, so no client may; and what clients tell the Worker, so no shard need know it. */
const workerHeaders = [
  assignedClientIdHeader,
  clientAddressHeader,
  identityHeader,
  "authorization",
  "cookie",
];

/** An upgrade that may go to a shard. */
interface Upgrade {
  readonly url: string;
  /** Of the client, with the identity that was verified. */
  readonly headers: Headers;
  readonly subprotocol: string;
}

/**
 * Hands a WebSocket to its shard. When the shard is known the runtime passes frames through: they cost the Worker
 * nothing. What is refused here wakes no Durable Object.
 */
export async function handleUpgrade(
  request: Request,
  env: Env,
  config: Config,
  context: Pick<ExecutionContext, "waitUntil">,
): Promise<Response> {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return problem(426, "Upgrade required", "MQTT is spoken over WebSocket here", { upgrade: "websocket" });
  }
  const subprotocol = chooseSubprotocol(request.headers.get("sec-websocket-protocol"));
  if (subprotocol === undefined) {
    return problem(400, "No MQTT subprotocol", 'The upgrade must offer the WebSocket subprotocol "mqtt"');
  }
  const clientIdHint = new URL(request.url).searchParams.get(clientIdParameter);
  if (clientIdHint !== null && !isUsable(clientIdHint)) {
    const detail = `clientId must have 1 to ${clientIdHintLengthMax} characters, none of them a control character`;
    return problem(400, "Bad client identifier", detail);
  }
  const address = clientAddressOf(request, config);
  if (!(await isRateKept(env, config, address))) {
    return problem(429, "Too many requests", "Too many connections from this address", {
      "retry-after": "60",
    });
  }
  const admission = await admit(request, env, config);
  if (admission.type === "refused") return admission.response;
  const { identity } = admission;
  // Who may use one Client Identifier only will name it in CONNECT.
  const placedBy = clientIdHint ?? identity?.clientId;
  const upgrade = upgradeOf(request, subprotocol, placedBy, { identity, address });
  const { placement } = config.core;
  if (placedBy === undefined && placement.layout.shards > 1) return relay(upgrade, env, config, context);
  const stub = shardStub(env, config, placement.sessionShard(placedBy ?? ""));
  return stub.fetch(new Request(upgrade.url, { headers: upgrade.headers }));
}

function isUsable(clientIdHint: string): boolean {
  return clientIdHint !== "" && clientIdHint.length <= clientIdHintLengthMax && !/\p{Cc}/u.test(clientIdHint);
}

/** Secrets stay here. */
function upgradeOf(
  request: Request,
  subprotocol: string,
  placedBy: string | undefined,
  { identity, address }: { identity: Identity | undefined; address: string | undefined },
): Upgrade {
  const headers = new Headers(request.headers);
  for (const name of workerHeaders) headers.delete(name);
  if (identity !== undefined) headers.set(identityHeader, encodeIdentity(identity));
  if (address !== undefined) headers.set(clientAddressHeader, address);
  const url = new URL(request.url);
  url.searchParams.delete(tokenParameter);
  if (placedBy !== undefined) url.searchParams.set(clientIdParameter, placedBy);
  return { url: url.href, headers, subprotocol };
}

function relay(
  upgrade: Upgrade,
  env: Env,
  config: Config,
  context: Pick<ExecutionContext, "waitUntil">,
): Response {
  const { 0: client, 1: server } = new WebSocketPair();
  const { finished } = new Relay(server as RelaySocket, {
    maximumPacketSizeBytes: config.core.limits.maximumPacketSizeBytes,
    openShard: (clientId) => openShard(upgrade, env, config, clientId),
  });
  context.waitUntil(finished);
  return new Response(null, {
    status: 101,
    webSocket: client,
    headers: { "sec-websocket-protocol": upgrade.subprotocol },
  });
}

async function openShard(
  { url, headers: clientHeaders, subprotocol }: Upgrade,
  env: Env,
  config: Config,
  clientId: string,
): Promise<RelaySocket> {
  const placedId = clientId === "" ? `duramq-${crypto.randomUUID()}` : clientId;
  const headers = new Headers(clientHeaders);
  headers.set("sec-websocket-protocol", subprotocol);
  if (clientId === "") headers.set(assignedClientIdHeader, placedId);
  const stub = shardStub(env, config, config.core.placement.sessionShard(placedId));
  const { status, webSocket } = await stub.fetch(new Request(url, { headers }));
  if (status === 503) throw new ShardBusy();
  if (webSocket === null) throw new Error(`the shard answered ${status}`);
  return webSocket as RelaySocket;
}
