/** Longest user name of an identity, a ban or a rule, in bytes of UTF-8: a distinguished name can be long. */
export const nameBytesMax = 1024;

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
  return utf8Bytes(normal) > bytesMax ? undefined : normal;
}

/** Of a text without lone surrogates; each of a pair is half of four bytes. */
function utf8Bytes(text: string): number {
  let sizeBytes = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    const isHalf = unit >= 0xd800 && unit < 0xe000;
    sizeBytes += unit < 0x80 ? 1 : unit < 0x800 || isHalf ? 2 : 3;
  }
  return sizeBytes;
}
