/** The public keys of who issues tokens, fetched when they are needed. */
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from "jose";
import { boundedText } from "./bounded-text.ts";

export type Fetch = (url: string, options: RequestInit) => Promise<Response>;

const fetchTimeoutMs = 3_000;
const keySetBytesMax = 256 * 1024;

/** Keys are fetched anew when they are older. */
const keysAgeMsMax = 600_000;

/** A token with an unknown key is a reason to fetch again, but not more often than this. */
const unknownKeyCoolDownMs = 30_000;

/** After a failure nobody tries again for so long: connections come in crowds. */
export const failureCoolDownMs = 5_000;

/** Whether a token is good cannot be told now. */
export class KeysUnavailable extends Error {}

/** Keys at an address. Throws {@link KeysUnavailable} when they cannot be had in time. */
export function remoteKeys(url: URL, fetch: Fetch, nowMs: () => number): JWTVerifyGetKey {
  let failedAtMs = -Infinity;
  const keys = createRemoteJWKSet(url, {
    timeoutDuration: fetchTimeoutMs,
    cooldownDuration: unknownKeyCoolDownMs,
    cacheMaxAge: keysAgeMsMax,
    [customFetch]: (address, options) => {
      const isCoolingDown = nowMs() < failedAtMs + failureCoolDownMs;
      return isCoolingDown ? Promise.reject(new CoolingDown()) : fetchKeys(fetch, address, options);
    },
  });
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (error) {
      if (isAboutToken(error)) throw error;
      if (!(error instanceof CoolingDown)) {
        failedAtMs = nowMs();
        console.error(`duramq: the keys of tokens cannot be had: ${String(error)}`);
      }
      throw new KeysUnavailable();
    }
  };
}

class CoolingDown extends Error {}

async function fetchKeys(fetch: Fetch, address: string, options: RequestInit): Promise<Response> {
  const response = await fetch(address, options);
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  const text = await boundedText(response, keySetBytesMax);
  if (text === undefined) throw new Error(`more than ${keySetBytesMax} bytes`);
  return new Response(text);
}

function isAboutToken(error: unknown): boolean {
  return (
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported
  );
}
