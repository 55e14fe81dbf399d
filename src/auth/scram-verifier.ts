/** What is kept of a password (RFC 5802, section 3): it verifies, but does not let its finder log in. */
import { type Bytes, equalInConstantTime, hmacSha256, randomBytes, sha256, utf8 } from "./bytes.ts";
import { passwordBytesMax, prepared } from "./sasl-prep.ts";

export interface ScramVerifier {
  readonly salt: Bytes;
  readonly iterations: number;
  readonly storedKey: Bytes;
  readonly serverKey: Bytes;
}

/** RFC 7677, section 4. */
export const iterationsMin = 4096;

/** Cloudflare's WebCrypto does no more. */
export const iterationsMax = 100_000;

const saltBytes = 16;

/** Undefined for a password that nobody may have: see {@link prepared}. */
export async function makeVerifier(
  password: string,
  salt: Bytes = randomBytes(saltBytes),
  iterations: number = iterationsMax,
): Promise<ScramVerifier | undefined> {
  const usable = prepared(password, passwordBytesMax);
  if (usable === undefined) return undefined;
  return { salt, iterations, ...(await keysOf(usable, salt, iterations)) };
}

/** Takes as long for a wrong password as for the right one. */
export async function verifyPassword(password: string, verifier: ScramVerifier): Promise<boolean> {
  const usable = prepared(password, passwordBytesMax);
  // Not less work for a password that nobody has: no one shall learn by that whether there is the user.
  const { storedKey } = await keysOf(usable ?? "-", verifier.salt, verifier.iterations);
  return equalInConstantTime(storedKey, verifier.storedKey) && usable !== undefined;
}

/**
 * What a user who does not exist seems to have: always the same, and no password goes with it. `secret` must stay the
 * same, too, and unknown outside.
 */
export async function fakeVerifier(username: string, secret: Bytes): Promise<ScramVerifier> {
  const part = (name: string): Promise<Bytes> => hmacSha256(secret, utf8(`${name}\0${username}`));
  return {
    salt: (await part("salt")).slice(0, saltBytes),
    iterations: iterationsMax,
    storedKey: await part("stored key"),
    serverKey: await part("server key"),
  };
}

async function keysOf(
  password: string,
  salt: Bytes,
  iterations: number,
): Promise<Pick<ScramVerifier, "storedKey" | "serverKey">> {
  const key = await crypto.subtle.importKey("raw", utf8(password), "PBKDF2", false, ["deriveBits"]);
  const algorithm = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  const saltedPassword = new Uint8Array(await crypto.subtle.deriveBits(algorithm, key, 256));
  const clientKey = await hmacSha256(saltedPassword, utf8("Client Key"));
  return {
    storedKey: await sha256(clientKey),
    serverKey: await hmacSha256(saltedPassword, utf8("Server Key")),
  };
}
