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
  // Only Cloudflare gives requests this property.
  const trusted = clientAddressHeader ?? (cf === undefined ? undefined : "cf-connecting-ip");
  if (trusted === undefined) return undefined;
  // Each proxy adds the address that it has seen itself.
  const last = headers.get(trusted)?.split(",").at(-1)?.trim() ?? "";
  const match = addressPattern.exec(last);
  const address = match?.[1] ?? match?.[2] ?? match?.[3];
  return address !== undefined && address.length <= lengthMax ? address : undefined;
}
