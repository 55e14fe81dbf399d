/** A commit for which there was no room; nothing of it was written. */
export class StorageFullError extends Error {}

/**
 * Whether SQLite, or the account that pays for it, has no room for a write.
 * https://developers.cloudflare.com/durable-objects/platform/limits/
 */
export function isForLackOfRoom(error: unknown): boolean {
  return (
    error instanceof Error && /SQLITE_FULL|database or disk is full|exceeded allowed/i.test(error.message)
  );
}
