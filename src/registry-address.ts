/** How the objects of the registry are found. */
import type { Config } from "./config.ts";
import { xxHash64 } from "./core/xx-hash.ts";
import type { Env } from "./env.ts";
import { isPlaced, placedStub } from "./object-place.ts";

/** For good: the bucket of a user follows from it. */
export const userBuckets = 16;

/** Which object: "policy", or a bucket of users. */
export type RegistryPart = "policy" | number;

export type RegistryStub = ReturnType<Env["REGISTRY"]["get"]>;

/** The bucket of a user, whose name has been prepared. */
export function userBucketOf(username: string): number {
  return Number(xxHash64(username) % BigInt(userBuckets));
}

function registryName({ namespace }: Config, part: RegistryPart): string {
  return part === "policy" ? `${namespace}/policy` : `${namespace}/users/${part}`;
}

/** Undefined for a name that {@link registryStub} does not give. */
export function parseRegistryName(name: string): { namespace: string; part: RegistryPart } | undefined {
  const match = /^([^/]+)\/(?:policy|users\/(\d+))(?:@[^/]*)?$/.exec(name);
  if (match === null) return undefined;
  const part = match[2] === undefined ? "policy" : Number(match[2]);
  return part === "policy" || part < userBuckets ? { namespace: match[1] as string, part } : undefined;
}

/** Whether the object is where the settings have that part. */
export function isRegistry(id: DurableObjectId, config: Config, part: RegistryPart): boolean {
  return isPlaced(id, config, registryName(config, part));
}

export function registryStub(env: Pick<Env, "REGISTRY">, config: Config, part: RegistryPart): RegistryStub {
  return placedStub(env.REGISTRY, config, registryName(config, part));
}
