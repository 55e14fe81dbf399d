import type { Config } from "./config.ts";
import { configOf } from "./config.ts";

/** The runtime gives every request and every object of an isolate the same variables, and they never change. */
const known = new WeakMap<object, Map<string, Config>>();

/** {@link configOf}, which reads the variables of an isolate once for each namespace that there is. */
export function settingsOf(variables: object, namespace: string): Config | undefined {
  const configs = known.get(variables) ?? new Map<string, Config>();
  known.set(variables, configs);
  const config = configs.get(namespace) ?? configOf(variables, namespace);
  if (config !== undefined) configs.set(namespace, config);
  return config;
}
