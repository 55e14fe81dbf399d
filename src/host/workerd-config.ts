/** The same date and flags stand in wrangler.toml; a test compares them. */
export const COMPATIBILITY_DATE = "2026-10-01";
export const COMPATIBILITY_FLAGS: readonly string[] = ["no_web_socket_compression"];

/** Name workerd's directories of objects inside the data directory: changing them loses all data. */
export const SHARD_UNIQUE_KEY = "duramq-shard";
export const REGISTRY_UNIQUE_KEY = "duramq-registry";

export type WorkerdOptions = {
  /** file name of the bundle, relative to the configuration file */
  readonly bundleName: string;
  /** "ADDRESS:PORT" of the public socket */
  readonly address: string;
  readonly controlSocketPath: string;
  /** existing directory for the objects' databases */
  readonly objectsPath: string;
  readonly variables: Readonly<Record<string, string>>;
};

/** The Cap'n Proto text that `workerd serve` reads. */
export function workerdConfig(options: WorkerdOptions): string {
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "duramq", worker = .broker),
    # What the settings have the broker ask, keys and the hook, may be on this machine or its network.
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
    (name = "objects", disk = (path = ${text(options.objectsPath)}, writable = true)),
  ],
  sockets = [
    (name = "public", address = ${text(options.address)}, http = (), service = "duramq"),
    (name = "control", address = ${text(`unix:${options.controlSocketPath}`)}, http = (),
      service = (name = "duramq", entrypoint = "Control")),
  ],
);

const broker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed ${text(options.bundleName)})],
  compatibilityDate = ${text(COMPATIBILITY_DATE)},
  compatibilityFlags = [${COMPATIBILITY_FLAGS.map(text).join(", ")}],
  bindings = [
    (name = "SHARD", durableObjectNamespace = "Shard"),
    (name = "REGISTRY", durableObjectNamespace = "Registry"),
${variableBindings(options.variables)}
  ],
  durableObjectNamespaces = [
    (className = "Shard", uniqueKey = ${text(SHARD_UNIQUE_KEY)}, enableSql = true),
    (className = "Registry", uniqueKey = ${text(REGISTRY_UNIQUE_KEY)}, enableSql = true),
  ],
  durableObjectStorage = (localDisk = "objects"),
);
`;
}

/** "ADDRESS:PORT", with brackets around an IPv6 address. */
export function formatAddress(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function variableBindings(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `    (name = ${text(name)}, text = ${text(value)}),`)
    .join("\n");
}

/** A Cap'n Proto string literal; any character beyond ASCII stands for itself, in UTF-8. */
function text(value: string): string {
  return `"${Array.from(value, escaped).join("")}"`;
}

function escaped(character: string): string {
  if (character === '"' || character === "\\") return `\\${character}`;
  const code = character.charCodeAt(0);
  const isControl = code < 0x20 || code === 0x7f;
  return isControl ? `\\x${code.toString(16).padStart(2, "0")}` : character;
}
