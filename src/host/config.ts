import { parseArgs } from "node:util";
import { type Config, configOf, namespacesOf, settingNames, shardsMax } from "../config.ts";
import { settingLabel } from "./layout.ts";
import { errorMessage, StartError } from "./start-error.ts";

export type SocketMode = "hibernating" | "resident";

export type HostConfig = {
  readonly port: number;
  readonly host: string;
  /** null: nothing is kept after the broker stops */
  readonly dataDir: string | null;
  readonly shards: number;
  readonly sockets: SocketMode;
  /** the broker's settings, as the Worker reads them */
  readonly variables: Readonly<Record<string, string>>;
  /** what they come to, in every namespace */
  readonly namespaces: readonly Config[];
};

export type Command = { readonly kind: "help" } | { readonly kind: "start"; readonly config: HostConfig };

type Environment = Readonly<Record<string, string | undefined>>;
type Setting = { readonly label: string; readonly value: string };

export const MEMORY_DATA_DIR = ":memory:";

const PORT_MAX = 65_535;
const SOCKET_MODES: readonly SocketMode[] = ["hibernating", "resident"];

const OPTIONS = {
  port: { type: "string" },
  host: { type: "string" },
  data: { type: "string" },
  shards: { type: "string" },
  sockets: { type: "string" },
  help: { type: "boolean" },
} as const;

export const HELP_TEXT = `Usage: npm start -- [flags]

  --port PORT        port to listen on; 0 picks a free one         (env PORT, default 8787)
  --host HOST        address to listen on                          (env HOST, default 127.0.0.1)
  --data DIRECTORY   where data is kept; ${MEMORY_DATA_DIR} keeps none        (env DATA_DIR, default .duramq)
  --shards N         number of shards, 1 to ${shardsMax}, for good        (env SHARDS, default 1)
  --sockets MODE     hibernating | resident                        (env SOCKETS, default hibernating)
  --help             show this text

A flag wins over its environment variable. The broker's own settings (MAXIMUM_PACKET_SIZE_BYTES,
RECEIVE_MAXIMUM, NAMESPACES, …; see the README) are read from the environment.
`;

/** Reads flags and environment; throws a StartError that names the setting at fault. */
export function parseCommand(args: readonly string[], environment: Environment): Command {
  const flags = parseFlags(args);
  if (flags.help) return { kind: "help" };
  const config = {
    port: parseInteger(pick("port", flags.port, environment, "PORT", "8787"), 0, PORT_MAX),
    host: parseText(pick("host", flags.host, environment, "HOST", "127.0.0.1")),
    dataDir: parseDataDir(pick("data", flags.data, environment, "DATA_DIR", ".duramq")),
    shards: parseInteger(pick("shards", flags.shards, environment, "SHARDS", "1"), 1, shardsMax),
    sockets: parseSocketMode(pick("sockets", flags.sockets, environment, "SOCKETS", "hibernating")),
  };
  const variables = brokerVariables(config, environment);
  const namespaces = configsOf(variables);
  refuseUnguarded(config.host, variables, namespaces);
  return { kind: "start", config: Object.freeze({ ...config, variables, namespaces }) };
}

/** The settings that only the environment has, beside those that a flag may have changed. */
function brokerVariables(
  { host, shards, sockets }: Pick<HostConfig, "host" | "shards" | "sockets">,
  environment: Environment,
): Record<string, string> {
  // on a disk of one's own a write costs no money
  const variables: Record<string, string> = { FLUSHES_PER_SEC_MAX: "unlimited" };
  if (isLoopback(host) && !knowsClients(environment)) {
    Object.assign(variables, { ANONYMOUS: "true", SYS_TOPICS: "everybody" });
  }
  for (const name of settingNames) {
    const value = environment[name];
    if (value !== undefined && value !== "") variables[name] = value;
  }
  Object.assign(variables, { SHARDS: String(shards), SOCKETS: sockets });
  return variables;
}

/** Behind a proxy a loopback address is for others, too: whoever sets up credentials lets nobody in without them. */
function knowsClients(environment: Environment): boolean {
  const { NAMESPACES = "" } = environment;
  const credentials =
    /^(?:OPERATOR_TOKEN|AUTHENTICATION|JWT_.*|HOOK_URL|CERTIFICATE_USERNAME|CLIENT_ADDRESS_HEADER)$/;
  const isSet = Object.entries(environment).some(([name, value]) => credentials.test(name) && value !== "");
  return (
    isSet || /"(?:OPERATOR_TOKEN|AUTHENTICATION|JWT_\w+|HOOK_URL|CERTIFICATE_USERNAME)"/.test(NAMESPACES)
  );
}

/** All settings are read here as the Worker will read them, so that a wrong one stops the start. */
function configsOf(variables: Readonly<Record<string, string>>): Config[] {
  try {
    const configs = namespacesOf(variables).map((namespace) => configOf(variables, namespace) as Config);
    for (const config of configs) refuseJurisdiction(config);
    return configs;
  } catch (error) {
    throw new StartError(errorMessage(error));
  }
}

function refuseJurisdiction({ namespace, location }: Config): void {
  if (location.type !== "jurisdiction") return;
  throw new StartError(`${settingLabel(namespace, "JURISDICTION")} works on Cloudflare only`);
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** A broker that others can reach must say how it knows them, or that it need not. */
function refuseUnguarded(
  host: string,
  variables: Readonly<Record<string, string>>,
  namespaces: readonly Config[],
): void {
  const isMeant = variables["ANONYMOUS"] !== undefined || namespaces.some(({ core }) => core.authenticates);
  if (isMeant) return;
  const wanted = "OPERATOR_TOKEN for users, JWT_SECRET or JWT_JWKS_URL for tokens, or HOOK_URL";
  throw new StartError(
    `--host (HOST): ${host} can be reached by others; set ${wanted}, or ANONYMOUS to "true" to let everybody in`,
  );
}

function parseFlags(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const firstSentence = errorMessage(error).split(/\. |\n/)[0];
    throw new StartError(`${firstSentence} (see --help)`);
  }
}

/** An empty environment variable counts as absent: that is how shells and containers clear one. */
function pick(
  flag: string,
  flagValue: string | undefined,
  environment: Environment,
  variable: string,
  fallback: string,
): Setting {
  if (flagValue !== undefined) return { label: `--${flag}`, value: flagValue };
  const value = environment[variable];
  if (value !== undefined && value !== "") return { label: variable, value };
  return { label: `--${flag}`, value: fallback };
}

function parseInteger({ label, value }: Setting, min: number, max: number): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  const range = min === max ? `${min}` : `a whole number from ${min} to ${max}`;
  throw new StartError(`${label}: ${quote(value)} is not ${range}`);
}

function parseText({ label, value }: Setting): string {
  if (value.trim() === "" || value.includes("\0")) throw new StartError(`${label}: must not be empty`);
  return value.trim();
}

function parseDataDir(setting: Setting): string | null {
  const dataDir = parseText(setting);
  return dataDir === MEMORY_DATA_DIR ? null : dataDir;
}

function parseSocketMode({ label, value }: Setting): SocketMode {
  const mode = SOCKET_MODES.find((candidate) => candidate === value);
  if (mode !== undefined) return mode;
  throw new StartError(`${label}: ${quote(value)} is not one of ${SOCKET_MODES.join(", ")}`);
}

function quote(value: string): string {
  return JSON.stringify(value);
}
