/** `npm run admin`: the administration of a broker, from a terminal. */
import { text } from "node:stream/consumers";
import { ADMIN_HELP_TEXT, type AdminCommand, type AdminRequest, parseAdminCommand } from "./admin-command.ts";
import { errorMessage, StartError } from "./start-error.ts";

type Answer = Readonly<Record<string, unknown>>;

const REQUEST_MAX_MS = 60_000;

async function main(): Promise<void> {
  const command = parseAdminCommand(process.argv.slice(2), process.env);
  if (command === undefined) {
    process.stdout.write(ADMIN_HELP_TEXT);
    return;
  }
  const request = command.readsPassword ? await withPassword(command.request) : command.request;
  // Page by page: what is listed may be long.
  for (let cursor: string | undefined, page = 0; page === 0 || cursor !== undefined; page += 1) {
    const answer = await send(command, request, cursor);
    print(answer, command.json);
    cursor = answer?.["cursor"] as string | undefined;
  }
}

async function withPassword(request: AdminRequest): Promise<AdminRequest> {
  const password = (await text(process.stdin)).replace(/\r?\n$/, "");
  return { ...request, body: { ...(request.body as object), password } };
}

async function send(
  { namespace, token, url }: AdminCommand,
  { body, method, path, query = {} }: AdminRequest,
  cursor: string | undefined,
): Promise<Answer | undefined> {
  const isOfNamespace = !path.startsWith("/namespaces");
  const below = isOfNamespace ? `/namespaces/${encodeURIComponent(namespace)}${path}` : path;
  const address = new URL(`/api/v1${below}`, url);
  for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
  if (cursor !== undefined) address.searchParams.set("cursor", cursor);
  const response = await fetch(address, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    redirect: "error",
    signal: AbortSignal.timeout(REQUEST_MAX_MS),
  }).catch((error: unknown) => {
    throw new StartError(`${url.origin} cannot be reached: ${errorMessage(error)}`);
  });
  const answer = await response.text();
  if (!response.ok)
    throw new StartError(reasonIn(answer) ?? `the broker answered with status ${response.status}`);
  return answer === "" ? undefined : (JSON.parse(answer) as Answer);
}

function reasonIn(answer: string): string | undefined {
  try {
    const { detail } = JSON.parse(answer) as { detail?: unknown };
    return typeof detail === "string" ? printable(detail) : undefined;
  } catch {
    return undefined;
  }
}

/** A line for each item of a list. */
function print(answer: Answer | undefined, json: boolean): void {
  if (answer === undefined) return;
  if (json) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  const items = (answer["items"] as readonly Answer[] | undefined) ?? [answer];
  for (const item of items) process.stdout.write(`${lineOf(item)}\n`);
}

function lineOf(item: Answer): string {
  const parts = Object.entries(item).map(([name, value]) => `${name}=${textOf(value)}`);
  return printable(parts.join("  "));
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What clients have named themselves must not steer a terminal. */
function printable(line: string): string {
  return line.replaceAll(/\p{Cc}/gu, (character) =>
    JSON.stringify(character)
      .slice(1, -1)
      .replace(/\p{Cc}/u, "\\?"),
  );
}

main().catch((error: unknown) => {
  process.stderr.write(`duramq: ${errorMessage(error).replaceAll("\n", " ")}\n`);
  process.exitCode = 1;
});
