import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { errorCode, errorMessage, StartError } from "./start-error.ts";

/** A broker that was just killed gives its port back within moments. */
const PORT_RELEASE_MAX_MS = 2_000;
const POLL_MS = 50;

/** The IP address of the host to listen on. */
export async function resolveHost(host: string): Promise<string> {
  try {
    return (await lookup(host.replace(/^\[(.*)\]$/, "$1"))).address;
  } catch {
    throw new StartError(`--host (HOST): cannot resolve ${JSON.stringify(host)}`);
  }
}

/** Makes sure that workerd can listen there, and tells why not in the user's terms. */
export async function listenable(address: string, port: number): Promise<void> {
  const deadlineMs = Date.now() + PORT_RELEASE_MAX_MS;
  for (;;) {
    const error = await tryListen(address, port);
    if (error === undefined) return;
    if (errorCode(error) !== "EADDRINUSE" || Date.now() >= deadlineMs) throw refusal(address, port, error);
    await sleep(POLL_MS);
  }
}

async function tryListen(address: string, port: number): Promise<Error | undefined> {
  const server = createServer();
  try {
    server.listen({ host: address, port, exclusive: true });
    await once(server, "listening");
    server.close();
    await once(server, "close");
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function refusal(address: string, port: number, error: Error): StartError {
  switch (errorCode(error)) {
    case "EADDRINUSE":
      return new StartError(`--port (PORT): ${port} on ${address} is already in use`);
    case "EACCES":
      return new StartError(`--port (PORT): no permission to listen on ${port}`);
    case "EADDRNOTAVAIL":
      return new StartError(`--host (HOST): ${address} is not an address of this machine`);
    default:
      return new StartError(`--host (HOST): cannot listen on ${address}: ${errorMessage(error)}`);
  }
}
