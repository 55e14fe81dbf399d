import { parseArgs } from "node:util";
import { operatorTokenOf } from "./operator-token.ts";
import { errorMessage, StartError } from "./start-error.ts";

export interface BackupCommand {
  readonly action: "export" | "import";
  /** `GET` and `POST` go there. */
  readonly endpoint: URL;
  readonly token: string;
  readonly path: string;
  /** Whether what exists already gives way to what is imported. */
  readonly replaces: boolean;
}

const OPTIONS = {
  url: { type: "string" },
  namespace: { type: "string" },
  file: { type: "string" },
  "token-file": { type: "string" },
  replace: { type: "boolean" },
  help: { type: "boolean" },
} as const;

export const BACKUP_HELP_TEXT = `Usage: npm run backup -- export --url URL --file FILE [flags]
       npm run backup -- import --url URL --file FILE [flags]

  --url URL          the broker, such as http://127.0.0.1:8787
  --file FILE        the backup
  --namespace NAME   another namespace than the default one
  --token-file FILE  holds the broker's OPERATOR_TOKEN, if that is not in the environment
  --replace          import over retained messages and sessions that exist already
  --help             show this text
`;

/** Reads the arguments; throws a StartError that names the one at fault. */
export function parseBackupCommand(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): BackupCommand | "help" {
  const { values, positionals } = parse(args);
  if (values.help) return "help";
  const [action, ...others] = positionals;
  if ((action !== "export" && action !== "import") || others.length > 0) {
    throw new StartError('say "export" or "import" (see --help)');
  }
  if (values.replace && action === "export") throw new StartError("--replace is for imports");
  return {
    action,
    endpoint: endpointOf(values.url, values.namespace),
    token: operatorTokenOf(values["token-file"], environment),
    path: required("file", values.file),
    replaces: values.replace ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: true });
  } catch (error) {
    throw new StartError(`${errorMessage(error).split(/\. |\n/)[0]} (see --help)`);
  }
}

function required(flag: string, value: string | undefined): string {
  if (value === undefined || value === "") throw new StartError(`--${flag} is missing (see --help)`);
  return value;
}

function endpointOf(url: string | undefined, namespace: string | undefined): URL {
  const base = required("url", url);
  const path = namespace === undefined ? "api/v1/backup" : `api/v1/backup/${encodeURIComponent(namespace)}`;
  const endpoint = URL.parse(path, base.endsWith("/") ? base : `${base}/`);
  if (endpoint === null || !/^https?:$/.test(endpoint.protocol)) {
    throw new StartError(`--url: ${JSON.stringify(base)} is no http or https address`);
  }
  return endpoint;
}
