import type { Env } from "../env.ts";
import { problem } from "./problem.ts";
import { chooseSubprotocol } from "../subprotocol.ts";

/** Name of the namespace that `/mqtt` stands for. */
const defaultNamespace = "default";

/** As for Client Identifiers themselves; the hint travels in the socket's attachment. */
const clientIdHintLengthMax = 256;

/**
 * Hands a WebSocket to its shard. The runtime then passes frames through: they cost the Worker nothing. What is
 * refused here wakes no Durable Object.
 */
export function handleUpgrade(request: Request, env: Env): Response | Promise<Response> {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return problem(426, "Upgrade required", "MQTT is spoken over WebSocket here", { upgrade: "websocket" });
  }
  if (chooseSubprotocol(request.headers.get("sec-websocket-protocol")) === undefined) {
    return problem(400, "No MQTT subprotocol", 'The upgrade must offer the WebSocket subprotocol "mqtt"');
  }
  const clientIdHint = new URL(request.url).searchParams.get("clientId");
  if (clientIdHint !== null && !isUsable(clientIdHint)) {
    const detail = `clientId must have 1 to ${clientIdHintLengthMax} characters, none of them a control character`;
    return problem(400, "Bad client identifier", detail);
  }
  return env.SHARD.getByName(`${defaultNamespace}/0`).fetch(request);
}

function isUsable(clientIdHint: string): boolean {
  return clientIdHint !== "" && clientIdHint.length <= clientIdHintLengthMax && !/\p{Cc}/u.test(clientIdHint);
}
