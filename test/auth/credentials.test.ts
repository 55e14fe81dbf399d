import { describe, expect, test } from "vitest";
import { credentialsOf, isOriginAllowed } from "../../src/auth/credentials.ts";
import { authenticationOf } from "./settings.ts";

const page = "https://app.example";
const config = authenticationOf({
  COOKIE_NAME: "session",
  ALLOWED_ORIGINS: `${page}, http://localhost:3000`,
});

function request(headers: Record<string, string>, query = ""): Request {
  return new Request(`https://broker.example/mqtt${query}`, { headers });
}

describe("The token of an upgrade", () => {
  test.each([
    ["the header", { authorization: "Bearer t1" }, "", "t1"],
    ["the header, however its scheme is written", { authorization: "bearer  t1" }, "", "t1"],
    ["the address", {}, "?token=t2", "t2"],
    ["the cookie", { origin: page, cookie: "a=b; session=t3; c=d" }, "", "t3"],
    ["the cookie, in quotes and with an equals sign", { origin: page, cookie: 'session="t=3"' }, "", "t=3"],
    ["the header rather than the address", { authorization: "Bearer t1" }, "?token=t2", "t1"],
    ["the address rather than the cookie", { origin: page, cookie: "session=t3" }, "?token=t2", "t2"],
  ])("is from %s", (_, headers, query, token) => {
    expect(credentialsOf(request(headers as Record<string, string>, query), config)).toEqual({ token });
  });

  test.each([
    ["another scheme", { authorization: "Basic dDE6dDI=" }],
    ["a cookie without an Origin", { cookie: "session=t3" }],
    ["another cookie", { origin: page, cookie: "xsession=t3; session-x=t4" }],
  ])("is not from %s", (_, headers) => {
    expect(credentialsOf(request(headers as Record<string, string>), config)).toEqual({});
  });

  test("is not from a cookie unless the settings name one", () => {
    const headers = { origin: page, cookie: "session=t3; undefined=t4" };
    expect(credentialsOf(request(headers), authenticationOf({}))).toEqual({});
  });

  test("may be empty, which is not the same as absent", () => {
    expect(credentialsOf(request({}, "?token="), config)).toEqual({ token: "" });
  });
});

describe("An origin", () => {
  test.each([page, "http://localhost:3000"])("%s is allowed that is listed", (origin) => {
    expect(isOriginAllowed(request({ origin }), config)).toBe(true);
  });

  test.each([
    "https://app.example.evil.example",
    "https://evil.example/https://app.example",
    "http://app.example",
    "https://app.example:8443",
    "https://APP.example",
    "null",
    "",
  ])("%j is not", (origin) => {
    expect(isOriginAllowed(request({ origin }), config)).toBe(false);
  });

  test("is not asked of those who send none", () => {
    expect(isOriginAllowed(request({}), config)).toBe(true);
  });

  test("may be any, unless the settings list some", () => {
    for (const any of [{}, { ALLOWED_ORIGINS: "*" }]) {
      expect(isOriginAllowed(request({ origin: "null" }), authenticationOf(any as {}))).toBe(true);
    }
  });
});
