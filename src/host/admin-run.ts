/** Asks the administration for what a command wants, and prints what it answers. */
import { readFile } from "node:fs/promises";
import { adminHelpText, type AdminCommand, type AdminRequest, parseAdminCommand } from "./admin-command.ts";
import { errorMessage, StartError, UsageError } from "./start-error.ts";

type Answer = Readonly<Record<string, unknown>>;

/** The terminal and the network. */
export interface AdminPorts {
  readonly fetch: (url: URL, options: RequestInit) => Promise<Response>;
  readonly readStdin: () => Promise<string>;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
}

/** What the API gives at most. */
const PAGE_ITEMS_MAX = 500;
const REQUEST_MAX_MS = 60_000;

/** Returns the exit code: 0, 1 if the broker refuses or is not there, 2 for a command that is none. */
export async function runAdmin(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  ports: AdminPorts,
): Promise<0 | 1 | 2> {
  try {
    const command = parseAdminCommand(args, environment);
    if (command === undefined) ports.print(adminHelpText());
    else await carryOut(command, ports);
    return 0;
  } catch (error) {
    ports.printError(`duramq: ${errorMessage(error).replaceAll("\n", " ")}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

/** Page by page: what is listed may be long. */
async function carryOut(command: AdminCommand, ports: AdminPorts): Promise<void> {
  const request = await withInput(command, ports);
  const { itemsMax } = command;
  let left = itemsMax ?? 0;
  let cursor: string | undefined;
  do {
    const page = itemsMax === undefined ? {} : { limit: String(Math.min(left, PAGE_ITEMS_MAX)) };
    const query = { ...request.query, ...page, ...(cursor !== undefined && { cursor }) };
    const answer = await send(command, { ...request, query }, ports);
    if (answer !== undefined) ports.print(textOf(answer, command));
    left -= itemsOf(answer).length;
    cursor = answer?.["cursor"] as string | undefined;
  } while (cursor !== undefined && left > 0);
}

async function withInput({ input, request }: AdminCommand, ports: AdminPorts): Promise<AdminRequest> {
  if (input === undefined) return request;
  const { into, path } = input;
  if (path === "-") return into(request, await ports.readStdin());
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new UsageError(errorMessage(error));
  });
  return into(request, text);
}

async function send(
  { token, url }: AdminCommand,
  { body, ifVersion, method, path, query }: AdminRequest,
  ports: AdminPorts,
): Promise<Answer | undefined> {
  const address = new URL(`/api/v1${path}`, url);
  for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
  const options = {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      ...(ifVersion !== undefined && { "if-match": `"${ifVersion}"` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    redirect: "error" as const,
    signal: AbortSignal.timeout(REQUEST_MAX_MS),
  };
  const response = await ports.fetch(address, options).catch((error: unknown) => {
    throw new StartError(`${url.origin} cannot be reached: ${causeOf(error)}`);
  });
  const answer = await response.text();
  if (!response.ok)
    throw new StartError(reasonIn(answer) ?? `the broker answered with status ${response.status}`);
  return answer === "" ? undefined : (JSON.parse(answer) as Answer);
}

/** What fetch says itself is that it failed. */
function causeOf(error: unknown): string {
  return errorMessage(error instanceof Error && error.cause !== undefined ? error.cause : error);
}

function reasonIn(answer: string): string | undefined {
  try {
    const { detail } = JSON.parse(answer) as { detail?: unknown };
    return typeof detail === "string" ? printable(detail) : undefined;
  } catch {
    return undefined;
  }
}

function textOf(answer: Answer, { json, request }: AdminCommand): string {
  return linesOf(answer, json, request)
    .map((line) => `${printable(line)}\n`)
    .join("");
}

/** One for each item of a list; the policy as JSON, so that it can be changed and put. */
function linesOf(answer: Answer, json: boolean, { method, path }: AdminRequest): readonly string[] {
  if (json) return [JSON.stringify(answer)];
  if (method === "GET" && path.endsWith("/policy")) return JSON.stringify(answer, undefined, 2).split("\n");
  return ("items" in answer ? itemsOf(answer) : [answer]).map(lineOf);
}

function itemsOf(answer: Answer | undefined): readonly Answer[] {
  return (answer?.["items"] as readonly Answer[] | undefined) ?? [];
}

function lineOf(item: Answer): string {
  const parts = Object.entries(item).map(([name, value]) => `${name}=${valueOf(value)}`);
  return parts.join("  ");
}

function valueOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What clients have named themselves must not steer a terminal. In JSON it says the same. */
function printable(line: string): string {
  return line.replaceAll(
    /\p{Cc}/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
