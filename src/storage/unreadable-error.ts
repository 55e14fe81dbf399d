/** What is stored cannot be read; the message says what, and why. Nothing must be written then. */
export class UnreadableError extends Error {}

/** What `read` returns; when it fails, {@link UnreadableError} names the row that it was about. */
export function readable<Value>(row: string, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    throw new UnreadableError(`${row}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
