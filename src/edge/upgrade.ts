import type { Config } from "../config.ts";
import type { Env } from "../env.ts";
import { assignedClientIdHeader, shardStub } from "../shard-address.ts";
import { chooseSubprotocol } from "../subprotocol.ts";
import { problem } from "./problem.ts";
import type { RelaySocket } from "./relay-socket.ts";
import { Relay } from "./relay.ts";

/** As for Client Identifiers themselves; the hint travels in the socket's attachment. */
const clientIdHintLengthMax = 256;

/**
 * Hands a WebSocket to its shard. When the shard is known the runtime passes frames through: they cost the Worker
 * nothing. What is refused here wakes no Durable Object.
 */
export function handleUpgrade(
  request: Request,
  env: Env,
  config: Config,
  context: Pick<ExecutionContext, "waitUntil">,
): Response | Promise<Response> {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return problem(426, "Upgrade required", "MQTT is spoken over WebSocket here", { upgrade: "websocket" });
  }
  const subprotocol = chooseSubprotocol(request.headers.get("sec-websocket-protocol"));
  if (subprotocol === undefined) {
    return problem(400, "No MQTT subprotocol", 'The upgrade must offer the WebSocket subprotocol "mqtt"');
  }
  const clientIdHint = new URL(request.url).searchParams.get("clientId");
  if (clientIdHint !== null && !isUsable(clientIdHint)) {
    const detail = `clientId must have 1 to ${clientIdHintLengthMax} characters, none of them a control character`;
    return problem(400, "Bad client identifier", detail);
  }
  const { placement } = config.core;
  if (clientIdHint === null && placement.layout.shards > 1) {
    return relay(request, subprotocol, env, config, context);
  }
  const index = placement.sessionShard(clientIdHint ?? "");
  return shardStub(env, config, index).fetch(withoutAssignment(request));
}

function isUsable(clientIdHint: string): boolean {
  return clientIdHint !== "" && clientIdHint.length <= clientIdHintLengthMax && !/\p{Cc}/u.test(clientIdHint);
}

function withoutAssignment(request: Request): Request {
  if (!request.headers.has(assignedClientIdHeader)) return request;
  const headers = new Headers(request.headers);
  headers.delete(assignedClientIdHeader);
  return new Request(request, { headers });
}

function relay(
  request: Request,
  subprotocol: string,
  env: Env,
  config: Config,
  context: Pick<ExecutionContext, "waitUntil">,
): Response {
  const { 0: client, 1: server } = new WebSocketPair();
  const { finished } = new Relay(server as RelaySocket, {
    maximumPacketSizeBytes: config.core.limits.maximumPacketSizeBytes,
    openShard: (clientId) => openShard(request, subprotocol, env, config, clientId),
  });
  context.waitUntil(finished);
  return new Response(null, {
    status: 101,
    webSocket: client,
    headers: { "sec-websocket-protocol": subprotocol },
  });
}

async function openShard(
  request: Request,
  subprotocol: string,
  env: Env,
  config: Config,
  clientId: string,
): Promise<RelaySocket> {
  const placedId = clientId === "" ? `duramq-${crypto.randomUUID()}` : clientId;
  const headers = new Headers(request.headers);
  headers.set("sec-websocket-protocol", subprotocol);
  headers.delete(assignedClientIdHeader);
  if (clientId === "") headers.set(assignedClientIdHeader, placedId);
  const stub = shardStub(env, config, config.core.placement.sessionShard(placedId));
  const { status, webSocket } = await stub.fetch(new Request(request.url, { headers }));
  if (webSocket === null) throw new Error(`the shard answered ${status}`);
  return webSocket as RelaySocket;
}
