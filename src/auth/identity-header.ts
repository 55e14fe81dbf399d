/** A verified identity on its way from the Worker to a shard. */
import type { Identity } from "../core/access/identity.ts";
import { fromBase64Url, fromUtf8, toBase64Url, utf8 } from "./bytes.ts";

/** Header of an upgrade request from the Worker to a shard, never from a client. */
export const identityHeader = "duramq-identity";

export function encodeIdentity(identity: Identity): string {
  return toBase64Url(utf8(JSON.stringify(identity)));
}

/** The identity that the Worker has verified; undefined when there is none. */
export function identityOf(headers: Headers): Identity | undefined {
  const encoded = headers.get(identityHeader);
  if (encoded === null) return undefined;
  return JSON.parse(fromUtf8(fromBase64Url(encoded) ?? new Uint8Array()) ?? "");
}
