import { fromUtf8 } from "./bytes.ts";

/** The body of an answer, read up to a limit; undefined for a longer one, and for one that is no UTF-8. */
export async function boundedText(response: Response, bytesMax: number): Promise<string | undefined> {
  if (response.body === null) return "";
  const bytes = new Uint8Array(bytesMax);
  let length = 0;
  // To leave the loop is to cancel the rest.
  for await (const chunk of response.body) {
    if (length + chunk.length > bytesMax) return undefined;
    bytes.set(chunk, length);
    length += chunk.length;
  }
  return fromUtf8(bytes.subarray(0, length));
}
