/** The client's side of SCRAM-SHA-256 by Web Crypto, written after RFC 5802. */
import { binary, text } from "./packets.ts";

const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
const fromBase64 = (encoded: string): Uint8Array =>
  Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));

async function hmac(key: Uint8Array, message: string): Promise<Uint8Array> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, binary(message)));
}

async function derive(password: string, salt: Uint8Array, iterations: number): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey("raw", binary(password), "PBKDF2", false, ["deriveBits"]);
  const algorithm = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  return new Uint8Array(await crypto.subtle.deriveBits(algorithm, key, 256));
}

export class ScramClient {
  readonly #password: string;
  readonly #bare: string;
  #serverSignature = "";

  constructor(username: string, password: string, nonce = "client-nonce") {
    this.#password = password;
    this.#bare = `n=${username},r=${nonce}`;
  }

  get first(): Uint8Array {
    return binary(`n,,${this.#bare}`);
  }

  async final(serverFirst: Uint8Array): Promise<Uint8Array> {
    const challenge = text(serverFirst);
    const [, nonce = "", salt = "", iterations = ""] = /^r=(.*),s=(.*),i=(\d+)$/.exec(challenge) ?? [];
    const salted = await derive(this.#password, fromBase64(salt), Number(iterations));
    const clientKey = await hmac(salted, "Client Key");
    const storedKey = new Uint8Array(await crypto.subtle.digest("SHA-256", clientKey));
    const withoutProof = `c=${btoa("n,,")},r=${nonce}`;
    const message = `${this.#bare},${challenge},${withoutProof}`;
    const signature = await hmac(storedKey, message);
    const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
    this.#serverSignature = toBase64(await hmac(await hmac(salted, "Server Key"), message));
    return binary(`${withoutProof},p=${toBase64(proof)}`);
  }

  /** Whether the server has shown that it knows the password, too. */
  isServer(serverFinal: Uint8Array = new Uint8Array()): boolean {
    return text(serverFinal) === `v=${this.#serverSignature}`;
  }
}
