/** CONNECT with credentials, and what comes of it. */
import type { IConnectPacket } from "mqtt-packet";
import { type Closed, type PacketOf, RawClient, type RawClientOptions } from "./raw-client.ts";
import { unique } from "./unique.ts";

export interface AccessOptions extends RawClientOptions {
  readonly clientId?: string;
  readonly keepAliveSec?: number;
  readonly username?: string;
  readonly password?: string | Buffer;
  readonly will?: NonNullable<IConnectPacket["will"]>;
  readonly properties?: NonNullable<IConnectPacket["properties"]>;
}

export interface Refused {
  /** Reason Code of version 5, return code of the others. */
  readonly code: number | undefined;
  readonly reasonString: string | undefined;
  readonly bytes: Buffer;
  readonly closed: Closed;
}

/** The connection of a client that got in. */
export async function admitted(url: string, options: AccessOptions = {}): Promise<RawClient> {
  const { client, connack } = await connect(url, options);
  if (codeOf(client, connack) !== 0) throw new Error(`CONNACK refused: ${JSON.stringify(connack)}`);
  return client;
}

/** The refusal of a client that did not: CONNACK says why, and the connection is closed. */
export async function refused(url: string, options: AccessOptions = {}): Promise<Refused> {
  const { client, connack } = await connect(url, options);
  const code = codeOf(client, connack);
  if (code === 0) throw new Error("CONNACK let the client in");
  const closed = await client.closed();
  if (client.untaken.length > 0) throw new Error("something came after the refusal");
  return { code, reasonString: connack.properties?.reasonString, bytes: connack.bytes, closed };
}

function codeOf({ protocolVersion }: RawClient, connack: PacketOf<"connack">): number | undefined {
  return protocolVersion === 5 ? connack.reasonCode : connack.returnCode;
}

async function connect(
  url: string,
  options: AccessOptions,
): Promise<{ client: RawClient; connack: PacketOf<"connack"> }> {
  const client = await RawClient.open(url, options);
  client.send(connectPacket(client, options));
  return { client, connack: await client.expectNext("connack") };
}

export function connectPacket(
  { protocolVersion }: Pick<RawClient, "protocolVersion">,
  { clientId, keepAliveSec, username, password, will, properties }: AccessOptions,
): IConnectPacket {
  return {
    cmd: "connect",
    protocolId: protocolVersion === 3 ? "MQIsdp" : "MQTT",
    protocolVersion,
    clientId: clientId ?? unique("client"),
    clean: true,
    keepalive: keepAliveSec ?? 60,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: Buffer.from(password) }),
    ...(will && { will }),
    ...(properties && { properties }),
  };
}
