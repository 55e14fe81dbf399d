/** A reason why the broker cannot start. Its message is the one line the user sees. */
export class StartError extends Error {
  override name = "StartError";
}

/** A command that was typed wrongly. */
export class UsageError extends StartError {
  override name = "UsageError";
}

/** The system's error code ("ENOENT", "EACCES", …), or undefined for another kind of error. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
