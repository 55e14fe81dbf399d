import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { type Config, defaultNamespace } from "../config.ts";
import { replaceFile } from "./replace-file.ts";
import { StartError } from "./start-error.ts";

const FORMAT = 2;

/** By the names of the settings: from these follows in which object the data of a namespace is. */
const layout = z.object({
  SHARDS: z.number(),
  TOPIC_KEY_LEVELS: z.number(),
  LAYOUT_EPOCH: z.number(),
  LOCATION_HINT: z.string().nullable(),
});
type Layout = z.infer<typeof layout>;
type Layouts = Readonly<Record<string, Layout>>;

const record = z.object({ format: z.literal(FORMAT), namespaces: z.record(z.string(), layout) });
/** Written when there was one namespace, and one setting to remember. */
const earlierRecord = z.object({ format: z.literal(1), shards: z.number() });

/**
 * The place of every session and topic follows from the layout of its namespace, so that is fixed at the first start
 * that has the namespace.
 */
export function checkLayouts(root: string, namespaces: readonly Config[]): void {
  const path = join(root, "layout.json");
  const recorded = existsSync(path) ? readLayouts(path) : {};
  const wanted = wantedOf(namespaces);
  for (const [namespace, had] of Object.entries(recorded)) {
    const wants = Object.hasOwn(wanted, namespace) ? wanted[namespace] : undefined;
    if (wants !== undefined) compare(root, namespace, had, wants);
  }
}

/** To be called when the broker runs: what it is asked from now on is placed by these layouts. */
export function recordLayouts(root: string, namespaces: readonly Config[]): void {
  const path = join(root, "layout.json");
  const recorded = existsSync(path) ? readLayouts(path) : {};
  // A namespace that the settings leave out now still has its data.
  replaceFile(path, { format: FORMAT, namespaces: { ...recorded, ...wantedOf(namespaces) } });
}

function wantedOf(namespaces: readonly Config[]): Layouts {
  return Object.fromEntries(namespaces.map((config) => [config.namespace, layoutOf(config)]));
}

/** The setting as its user knows it. */
export function settingLabel(namespace: string, setting: string): string {
  if (namespace !== defaultNamespace) return `NAMESPACES.${namespace}.${setting}`;
  return setting === "SHARDS" ? "--shards (SHARDS)" : setting;
}

function layoutOf({ core, location }: Config): Layout {
  const { shards, topicKeyLevels, epoch } = core.placement.layout;
  return {
    SHARDS: shards,
    TOPIC_KEY_LEVELS: topicKeyLevels,
    LAYOUT_EPOCH: epoch,
    LOCATION_HINT: location.type === "hint" ? location.hint : null,
  };
}

function compare(root: string, namespace: string, had: Layout, wants: Layout): void {
  for (const setting of layout.keyof().options) {
    if (had[setting] === wants[setting]) continue;
    throw new StartError(
      `${settingLabel(namespace, setting)}: the data in ${root} was made with ${had[setting] ?? "none"}, ` +
        `it cannot be opened with ${wants[setting] ?? "none"}`,
    );
  }
}

function readLayouts(path: string): Layouts {
  const contents = contentsOf(path);
  const current = record.safeParse(contents);
  if (current.success) return current.data.namespaces;
  const earlier = earlierRecord.safeParse(contents);
  if (earlier.success) return { [defaultNamespace]: earlierLayout(earlier.data.shards) };
  const { format } = Object(contents) as { format?: unknown };
  const isKnown = format === FORMAT || format === 1;
  throw new StartError(`--data (DATA_DIR): ${path} is ${isKnown ? "damaged" : "of another version"}`);
}

function earlierLayout(shards: number): Layout {
  return { SHARDS: shards, TOPIC_KEY_LEVELS: 2, LAYOUT_EPOCH: 1, LOCATION_HINT: null };
}

function contentsOf(path: string): unknown {
  const text = readFileSync(path, "utf8");
  try {
    return JSON.parse(text);
  } catch {
    throw new StartError(`--data (DATA_DIR): ${path} is damaged`);
  }
}
