/** Bytes, their texts, and what WebCrypto makes of them. */

export type Bytes = Uint8Array<ArrayBuffer>;

/** Not by its global name, which the types of Node have as a value only. */
export type HmacKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

const hmacSha256Algorithm = { name: "HMAC", hash: "SHA-256" };

export function utf8(text: string): Bytes {
  return new TextEncoder().encode(text) as Bytes;
}

/** Undefined for bytes that are no UTF-8. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** RFC 4648, section 4, with padding. */
export function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** Undefined for a text that {@link toBase64} does not give. */
export function fromBase64(text: string): Bytes | undefined {
  try {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return toBase64(bytes) === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** RFC 4648, section 5, without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Undefined for a text that {@link toBase64Url} does not give. */
export function fromBase64Url(text: string): Bytes | undefined {
  if (/[+/=]/.test(text)) return undefined;
  const padding = "=".repeat((4 - (text.length % 4)) % 4);
  return fromBase64(text.replaceAll("-", "+").replaceAll("_", "/") + padding);
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function randomBytes(count: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(count));
}

export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

export function hmacKey(secret: Bytes): Promise<HmacKey> {
  return crypto.subtle.importKey("raw", secret, hmacSha256Algorithm, false, ["sign"]);
}

export async function hmacSha256(key: Bytes | HmacKey, bytes: Bytes): Promise<Bytes> {
  const imported = "type" in key ? key : await hmacKey(key);
  return new Uint8Array(await crypto.subtle.sign(hmacSha256Algorithm, imported, bytes));
}

/** Takes the same time wherever they differ. Lengths are no secret. */
export function equalInConstantTime(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let index = 0; index < left.length; index += 1) {
    difference |= (left[index] as number) ^ (right[index] as number);
  }
  return difference === 0;
}
