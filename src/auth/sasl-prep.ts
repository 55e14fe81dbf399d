/** Longest user name and password, in bytes of UTF-8. */
export const usernameBytesMax = 256;
export const passwordBytesMax = 1024;

/**
 * User names and passwords as they are compared, after SASLprep (RFC 4013): in normal form KC, without control
 * characters. Undefined for what is empty, too long, or has any.
 *
 * Less than SASLprep does: characters that it maps to nothing stay, and neither unassigned code points nor texts of mixed
 * direction are refused. So two names may look the same, as they may anyway.
 */
export function prepared(text: string, bytesMax: number): string | undefined {
  const normal = text.normalize("NFKC");
  if (normal === "" || /\p{Cc}|\p{Cs}/u.test(normal)) return undefined;
  return new TextEncoder().encode(normal).length > bytesMax ? undefined : normal;
}
