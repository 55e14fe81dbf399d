/** Client certificates, which Cloudflare has verified (mutual TLS). */
import { attributeValues } from "./distinguished-name.ts";
import { allow, denyAs, unknown, type Verdict } from "./provider.ts";
import type { CertificateUsername } from "./settings.ts";

/** What is used of `request.cf.tlsClientAuth`; developers.cloudflare.com/ssl/client-certificates/client-certificate-variables */
export interface ClientCertificate {
  /** "1" when the client has shown one, good or not. */
  readonly certPresented: string;
  /** "SUCCESS" also for one that has been revoked. */
  readonly certVerified: string;
  readonly certRevoked: string;
  readonly certSubjectDNRFC2253: string;
  readonly certFingerprintSHA256: string;
  /** Such as "Dec 22 19:39:00 2028 GMT". */
  readonly certNotAfter: string;
}

/** The identity of a certificate's subject; the connection ends with the certificate. */
export function verifyCertificate(
  certificate: ClientCertificate | undefined,
  usernameOf: CertificateUsername,
): Verdict {
  if (certificate?.certPresented !== "1") return unknown;
  if (certificate.certVerified !== "SUCCESS" || certificate.certRevoked === "1") {
    return denyAs("The client certificate is not valid");
  }
  const username = usernames[usernameOf](certificate);
  if (username === undefined || username === "") {
    return denyAs("The client certificate names nobody");
  }
  const expiresAtMs = Date.parse(certificate.certNotAfter);
  return allow({
    method: "certificate",
    username,
    roles: [],
    claims: {},
    rules: [],
    ...(!Number.isNaN(expiresAtMs) && { expiresAtMs }),
  });
}

const usernames: Record<CertificateUsername, (certificate: ClientCertificate) => string | undefined> = {
  cn: ({ certSubjectDNRFC2253 }) => onlyOne(attributeValues(certSubjectDNRFC2253, "CN")),
  fingerprint: ({ certFingerprintSHA256 }) => certFingerprintSHA256.toLowerCase(),
  subject: ({ certSubjectDNRFC2253 }) => certSubjectDNRFC2253,
};

/** Of several nobody could say which is meant. */
function onlyOne(values: readonly string[] | undefined): string | undefined {
  return values?.length === 1 ? values[0] : undefined;
}
