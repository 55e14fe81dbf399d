import type { Config } from "../config.ts";
import { addressKeyOf } from "../core/abuse/address-key.ts";
import type { Env } from "../env.ts";

/** Whether the address may connect now, by the count that Cloudflare keeps for each of its locations. */
export async function isRateKept(
  { CONNECT_RATE }: Env,
  { namespace }: Config,
  address: string | undefined,
): Promise<boolean> {
  if (CONNECT_RATE === undefined || address === undefined) return true;
  const { success } = await CONNECT_RATE.limit({ key: `${namespace} ${addressKeyOf(address)}` });
  return success;
}
