import { z } from "zod";
import { publishSizeBytes } from "./codec/index.ts";
import type { CoreConfig } from "./core/config.ts";
import { defaultLimits } from "./core/limits.ts";

/** How sockets are held: `hibernating` ones cost nothing while idle, `resident` ones are faster. */
export type SocketMode = "hibernating" | "resident";

/** The validated settings of a deployment. */
export interface Config {
  readonly socketMode: SocketMode;
  readonly core: CoreConfig;
}

/** A setting that cannot be used; the message names it. */
export class ConfigError extends Error {}

const settings = z.object({
  SHARDS: z.literal("1", { error: "must be 1: this release runs one shard" }).default("1"),
  SOCKETS: z
    .enum(["hibernating", "resident"], { error: 'must be "hibernating" or "resident"' })
    .default("hibernating"),
  FLUSHES_PER_SEC_MAX: z
    .union([z.literal("unlimited").transform(() => Infinity), z.coerce.number().positive()], {
      error: 'must be a positive number or "unlimited"',
    })
    .default(20),
});

/** Reads the settings from the Worker's variables. Throws {@link ConfigError} for the first one that is wrong. */
export function parseConfig(variables: object): Config {
  const parsed = settings.safeParse(variables);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new ConfigError(`${issue?.path.join(".")} ${issue?.message}`);
  }
  const { SOCKETS, FLUSHES_PER_SEC_MAX } = parsed.data;
  return Object.freeze({
    socketMode: SOCKETS,
    core: Object.freeze({ limits: defaultLimits, flushesPerSecMax: FLUSHES_PER_SEC_MAX, publishSizeBytes }),
  });
}
