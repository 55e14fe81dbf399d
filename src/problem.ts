/** A problem document (RFC 9457). */
export function problem(
  status: number,
  title: string,
  detail: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json(
    { type: "about:blank", title, status, detail },
    { status, headers: { ...headers, "content-type": "application/problem+json" } },
  );
}
