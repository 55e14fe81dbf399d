/** SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side, without channel binding. */
import {
  type Bytes,
  equalInConstantTime,
  fromBase64,
  fromUtf8,
  hmacSha256,
  randomBytes,
  sha256,
  toBase64,
  utf8,
} from "./bytes.ts";
import { prepared, usernameBytesMax } from "./sasl-prep.ts";
import type { ScramVerifier } from "./scram-verifier.ts";

/** The Authentication Method of MQTT that stands for it. */
export const scramMethod = "SCRAM-SHA-256";

/** Larger messages are not looked at. */
const messageBytesMax = 4 * 1024;

const serverNonceBytes = 18;

/** What the server remembers between the two messages of the client. */
export interface ScramState {
  readonly username: string;
  readonly verifier: ScramVerifier;
  readonly gs2Header: string;
  readonly clientFirstBare: string;
  readonly serverFirst: string;
  readonly nonce: string;
}

export interface ClientFirst {
  readonly username: string;
  readonly gs2Header: string;
  readonly clientFirstBare: string;
  readonly clientNonce: string;
}

/**
 * gs2-header, client-first-message-bare. "n" and "y" say that the client does no channel binding; "p" asks for it. Nobody
 * may act for somebody else (authzid). Undefined for anything else.
 */
export function parseClientFirst(data: Uint8Array): ClientFirst | undefined {
  const text = textOf(data);
  const match =
    /^(?<gs2Header>[ny],(?:a=(?<authorized>[^,]+))?,)(?<bare>n=(?<name>[^,]+),r=(?<nonce>[!-+\--~]+)(?:,.*)?)$/su.exec(
      text ?? "",
    )?.groups;
  if (match === undefined) return undefined;
  const { gs2Header = "", authorized, bare = "", name = "", nonce = "" } = match;
  const username = nameOf(name);
  if (username === undefined) return undefined;
  if (authorized !== undefined && nameOf(authorized) !== username) return undefined;
  return { username, gs2Header, clientFirstBare: bare, clientNonce: nonce };
}

/** server-first-message, and what it must be remembered by. */
export function challenge(
  { username, gs2Header, clientFirstBare, clientNonce }: ClientFirst,
  verifier: ScramVerifier,
  serverNonce: string = toBase64(randomBytes(serverNonceBytes)),
): { data: Bytes; state: ScramState } {
  const nonce = clientNonce + serverNonce;
  const serverFirst = `r=${nonce},s=${toBase64(verifier.salt)},i=${verifier.iterations}`;
  const state = { username, verifier, gs2Header, clientFirstBare, serverFirst, nonce };
  return { data: utf8(serverFirst), state };
}

/** server-final-message, by which the client knows the server; undefined when the client's proof is none. */
export async function prove(data: Uint8Array, state: ScramState): Promise<Bytes | undefined> {
  const { verifier, gs2Header, clientFirstBare, serverFirst, nonce } = state;
  const text = textOf(data) ?? "";
  const match = /^(?<withoutProof>c=(?<binding>[^,]+),r=(?<nonce>[^,]+)(?:,.*)?),p=(?<proof>[^,]+)$/su.exec(
    text,
  )?.groups;
  if (match?.["binding"] !== toBase64(utf8(gs2Header)) || match["nonce"] !== nonce) return undefined;
  const proof = fromBase64(match["proof"] ?? "");
  const authMessage = utf8(`${clientFirstBare},${serverFirst},${match["withoutProof"]}`);
  const signature = await hmacSha256(verifier.storedKey, authMessage);
  if (proof?.length !== signature.length) return undefined;
  const clientKey = proof.map((byte, index) => byte ^ (signature[index] as number));
  if (!equalInConstantTime(await sha256(clientKey), verifier.storedKey)) return undefined;
  return utf8(`v=${toBase64(await hmacSha256(verifier.serverKey, authMessage))}`);
}

function textOf(data: Uint8Array): string | undefined {
  return data.length > messageBytesMax ? undefined : fromUtf8(data);
}

/** saslname: "=2C" and "=3D" stand for "," and "=", which it cannot hold. */
function nameOf(saslName: string): string | undefined {
  if (/=(?!2C|3D)/.test(saslName)) return undefined;
  return prepared(saslName.replaceAll("=2C", ",").replaceAll("=3D", "="), usernameBytesMax);
}
