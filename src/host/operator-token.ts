/** The token of a command: never an argument, which other users of the machine could see. */
import { readFileSync } from "node:fs";
import { errorMessage, UsageError } from "./start-error.ts";

/** `path`: of the file that holds it; without one it is OPERATOR_TOKEN in the environment. */
export function operatorTokenOf(
  path: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const token = path === undefined ? environment["OPERATOR_TOKEN"] : read(path);
  if (token === undefined || token.trim() === "") {
    throw new UsageError("a token is needed: OPERATOR_TOKEN in the environment, or --token-file");
  }
  // What is no header would be told of with its value.
  if (!/^[\x21-\x7e]+$/.test(token.trim())) throw new UsageError("the token must be one word of ASCII");
  return token.trim();
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`--token-file: ${errorMessage(error)}`);
  }
}
