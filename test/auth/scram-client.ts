/** The client's side of SCRAM-SHA-256, written after RFC 5802 with Node's own cryptography. */
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";

const hmac = (key: Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();

export class ScramClient {
  readonly #password: string;
  readonly #gs2Header: string;
  readonly #bare: string;
  #serverSignature = "";

  constructor(username: string, password: string, nonce = "client-nonce", gs2Header = "n,,") {
    this.#password = password;
    this.#gs2Header = gs2Header;
    this.#bare = `n=${username.replaceAll("=", "=3D").replaceAll(",", "=2C")},r=${nonce}`;
  }

  get first(): Uint8Array {
    return Buffer.from(this.#gs2Header + this.#bare);
  }

  final(serverFirst: Uint8Array): Uint8Array {
    const challenge = Buffer.from(serverFirst).toString();
    const [, nonce = "", salt = "", iterations = ""] = /^r=(.*),s=(.*),i=(\d+)$/.exec(challenge) ?? [];
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt, "base64"), Number(iterations), 32, "sha256");
    const clientKey = hmac(salted, "Client Key");
    const storedKey = createHash("sha256").update(clientKey).digest();
    const withoutProof = `c=${Buffer.from(this.#gs2Header).toString("base64")},r=${nonce}`;
    const authMessage = `${this.#bare},${challenge},${withoutProof}`;
    const signature = hmac(storedKey, authMessage);
    const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
    this.#serverSignature = hmac(hmac(salted, "Server Key"), authMessage).toString("base64");
    return Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString("base64")}`);
  }

  /** Whether the server has shown that it knows the password, too. */
  isServer(serverFinal: Uint8Array | undefined): boolean {
    return Buffer.from(serverFinal ?? []).toString() === `v=${this.#serverSignature}`;
  }
}
