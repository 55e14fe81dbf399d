import type { Config } from "../config.ts";

/** An address, perhaps with brackets and a port, as proxies write it. */
const addressPattern = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)|([0-9A-Fa-f:.]+))(?::\d+)?$/;

/** Of an IPv6 address as text. */
const lengthMax = 45;

/**
 * The client's network address, as somebody says it who is to be believed: Cloudflare, or the proxy that the settings
 * name. Any other header comes from the client itself.
 */
export function clientAddressOf(
  { cf, headers }: Pick<Request, "cf" | "headers">,
  { clientAddressHeader }: Config,
): string | undefined {
  // Cloudflare says at which of its locations a request came in; elsewhere nobody can.
  const isOnCloudflare = typeof cf?.colo === "string";
  const trusted = clientAddressHeader ?? (isOnCloudflare ? "cf-connecting-ip" : undefined);
  if (trusted === undefined) return undefined;
  // Each proxy adds the address that it has seen itself.
  const last = headers.get(trusted)?.split(",").at(-1)?.trim() ?? "";
  const match = addressPattern.exec(last);
  const address = match?.[1] ?? match?.[2] ?? match?.[3];
  return address !== undefined && address.length <= lengthMax ? address : undefined;
}
