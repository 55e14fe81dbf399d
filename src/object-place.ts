/** Where the objects of a namespace live. */
import type { Config } from "./config.ts";

/** The object's name: its place belongs to it, so that everybody reaches the same object. */
function placedName({ location }: Config, name: string): string {
  return location.type === "hint" ? `${name}@${location.hint}` : name;
}

/** Whether the object is where the settings have it. */
export function isPlaced({ name, jurisdiction }: DurableObjectId, config: Config, baseName: string): boolean {
  const { location } = config;
  const wanted = location.type === "jurisdiction" ? location.jurisdiction : undefined;
  return name === placedName(config, baseName) && (jurisdiction ?? undefined) === wanted;
}

/** A stub for the object of that name where the settings have it. */
export function placedStub<Class extends Rpc.DurableObjectBranded | undefined>(
  objects: DurableObjectNamespace<Class>,
  config: Config,
  baseName: string,
  options: DurableObjectNamespaceGetDurableObjectOptions = {},
): DurableObjectStub<Class> {
  const { location } = config;
  const there = location.type === "jurisdiction" ? objects.jurisdiction(location.jurisdiction) : objects;
  return there.getByName(placedName(config, baseName), {
    ...options,
    ...(location.type === "hint" && { locationHint: location.hint }),
  });
}
