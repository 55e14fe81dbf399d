/** What a client shows of itself with its upgrade request. */
import type { ClientCertificate } from "./certificate.ts";
import type { AuthenticationConfig } from "./settings.ts";

export interface UpgradeCredentials {
  readonly token?: string;
  readonly certificate?: ClientCertificate;
}

/** The parameter of the address that may hold a token: a browser's WebSocket cannot have headers of its own. */
export const tokenParameter = "token";

/**
 * Whether a page of that origin may connect. Who sends no Origin is no browser. Throws nothing, and judges exactly:
 * "null" is allowed only where all are.
 */
export function isOriginAllowed(request: Request, { allowedOrigins }: AuthenticationConfig): boolean {
  const origin = request.headers.get("origin");
  return origin === null || allowedOrigins === "any" || allowedOrigins.has(origin);
}

/**
 * The credentials of a request from an allowed origin: of several tokens that of the header, then that of the address,
 * then the cookie. A cookie counts only with an Origin, for a browser sends it whatever page asks.
 */
export function credentialsOf(request: Request, config: AuthenticationConfig): UpgradeCredentials {
  const token = bearerOf(request) ?? parameterOf(request) ?? cookieOf(request, config);
  const certificate = certificateOf(request);
  return { ...(token !== undefined && { token }), ...(certificate !== undefined && { certificate }) };
}

function bearerOf({ headers }: Request): string | undefined {
  return /^bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "")?.[1];
}

function parameterOf({ url }: Request): string | undefined {
  return new URL(url).searchParams.get(tokenParameter) ?? undefined;
}

function cookieOf({ headers }: Request, { cookieName }: AuthenticationConfig): string | undefined {
  if (cookieName === undefined || !headers.has("origin")) return undefined;
  for (const pair of (headers.get("cookie") ?? "").split(";")) {
    const [name, ...value] = pair.split("=");
    if (name?.trim() === cookieName)
      return value
        .join("=")
        .trim()
        .replace(/^"(.*)"$/, "$1");
  }
  return undefined;
}

function certificateOf(request: Request): ClientCertificate | undefined {
  const { cf } = request as { readonly cf?: { readonly tlsClientAuth?: ClientCertificate | null } };
  return cf?.tlsClientAuth ?? undefined;
}
