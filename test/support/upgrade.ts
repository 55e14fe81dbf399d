import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { WebSocket, type ClientOptions } from "ws";
import { withDeadline } from "./wait.ts";

export interface Upgrade {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** Asks for a WebSocket; the answer, be it 101 or a refusal. */
export async function upgrade(
  url: string,
  subprotocols: string[] = ["mqtt"],
  options: ClientOptions = {},
): Promise<Upgrade> {
  const socket = new WebSocket(url, subprotocols, { perMessageDeflate: false, ...options });
  const answer = new Promise<Upgrade>((resolve, reject) => {
    socket.once("upgrade", ({ headers }) => resolve({ status: 101, headers, body: "" }));
    socket.once("unexpected-response", (_request, response) => readBody(response).then(resolve, reject));
    socket.once("error", reject);
  });
  try {
    return await withDeadline(answer, `an answer to the upgrade of ${url}`);
  } finally {
    socket.on("error", () => undefined);
    socket.terminate();
  }
}

async function readBody(response: IncomingMessage): Promise<Upgrade> {
  const chunks: Buffer[] = [];
  response.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(response, "end");
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks).toString(),
  };
}
