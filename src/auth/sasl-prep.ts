export { prepared } from "../core/access/prepared.ts";

/** Longest user name and password of a user, in bytes of UTF-8. */
export const usernameBytesMax = 256;
export const passwordBytesMax = 1024;
