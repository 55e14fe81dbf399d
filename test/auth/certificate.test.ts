import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ClientCertificate, verifyCertificate } from "../../src/auth/certificate.ts";
import { attributeValues } from "../../src/auth/distinguished-name.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";

const certificate: ClientCertificate = {
  certPresented: "1",
  certVerified: "SUCCESS",
  certRevoked: "0",
  certSubjectDNRFC2253: "CN=sensor-1,OU=Plant,O=Example,C=DE",
  certFingerprintSHA256: "ACF77CF37B",
  certNotAfter: "Dec 22 19:39:00 2028 GMT",
};

function usernameOf(subject: string): string | undefined {
  const verdict = verifyCertificate({ ...certificate, certSubjectDNRFC2253: subject }, "cn");
  return verdict.type === "allow" ? verdict.identity.username : undefined;
}

describe("A client certificate", () => {
  test.each([
    ["cn", "sensor-1"],
    ["fingerprint", "acf77cf37b"],
    ["subject", "CN=sensor-1,OU=Plant,O=Example,C=DE"],
  ] as const)("gives the user name that is its %s, until it ends", (kind, username) => {
    expect(verifyCertificate(certificate, kind)).toEqual({
      type: "allow",
      identity: {
        method: "certificate",
        username,
        roles: [],
        claims: {},
        rules: [],
        expiresAtMs: Date.UTC(2028, 11, 22, 19, 39),
      },
    });
  });

  test.each([
    ["that Cloudflare could not verify", { certVerified: "FAILED:self signed certificate" }],
    ["that Cloudflare did not look at", { certVerified: "NONE" }],
    ["that has been revoked", { certRevoked: "1" }],
    ["without a common name", { certSubjectDNRFC2253: "O=Example" }],
    ["with an empty common name", { certSubjectDNRFC2253: "CN=,O=Example" }],
    ["with two common names", { certSubjectDNRFC2253: "CN=a,CN=b" }],
    ["with a name that is none", { certSubjectDNRFC2253: "CN=a,," }],
    ["without a name", { certSubjectDNRFC2253: "" }],
  ])("%s is refused", (_, parts) => {
    const verdict = verifyCertificate({ ...certificate, ...parts }, "cn");
    expect(verdict).toMatchObject({ type: "deny", refusal: { reasonCode: ReasonCode.NotAuthorized } });
  });

  test("that is not there is nobody's to judge", () => {
    expect(verifyCertificate(undefined, "cn")).toEqual({ type: "unknown" });
    expect(verifyCertificate({ ...certificate, certPresented: "0" }, "cn")).toEqual({ type: "unknown" });
  });
});

describe("A common name", () => {
  test.each([
    ["CN=a", "a"],
    ["cn=a", "a"],
    ["O=x, CN = a b , C=DE", "a b"],
    ["OU=x+CN=a,O=y", "a"],
    ["CN=a\\,CN\\=b,O=y", "a,CN=b"],
    ["O=x\\,CN=evil,CN=good", "good"],
    ["CN=a=b", "a=b"],
    ['CN=a\\+b\\"c\\\\d\\;\\<\\>', 'a+b"c\\d;<>'],
    ["CN=\\ a\\ ,O=y", " a "],
    ["CN=a\\\\ ,O=y", "a\\"],
    ["CN=\\#a", "#a"],
    ["CN=Lu\\C4\\8Di\\C4\\87", "Lučić"],
    ["CN=Lučić", "Lučić"],
    ["2.5.4.3=x,CN=a", "a"],
    ["OU=#04024869,CN=a", "a"],
  ])("of %s is %j", (subject, username) => {
    expect(usernameOf(subject)).toBe(username);
  });

  test.each([
    "CN=#04024869",
    'CN="a"',
    "CN=a;O=b",
    "CN=a\\",
    "CN=a,",
    ",CN=a",
    "a",
    "=a",
    "CN=\\FF",
    "C N=a",
  ])("is not to be had of %j", (subject) => {
    expect(usernameOf(subject)).toBeUndefined();
  });

  test("is what was written, whatever it holds", () => {
    const attribute = fc.tuple(fc.constantFrom("CN", "O", "OU"), fc.string({ unit: "binary", minLength: 1 }));
    fc.assert(
      fc.property(fc.array(attribute, { minLength: 1, maxLength: 5 }), (attributes) => {
        const name = attributes.map(([type, value]) => `${type}=${escape(value)}`).join(",");
        const names = attributes.filter(([type]) => type === "CN").map(([, value]) => value);
        expect(attributeValues(name, "CN")).toEqual(names);
      }),
    );
  });
});

/** RFC 2253, section 2.4. */
function escape(value: string): string {
  return value
    .replace(/[,+"\\<>;=]/g, "\\$&")
    .replace(/^[ #]/, "\\$&")
    .replace(/ $/, (space, offset) => (offset === 0 ? space : `\\${space}`));
}
