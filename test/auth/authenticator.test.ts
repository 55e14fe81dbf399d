import { SignJWT } from "jose";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Authenticator, patienceMs } from "../../src/auth/authenticator.ts";
import type { Verdict } from "../../src/auth/provider.ts";
import { authenticationMethodsOf, tokenMethod } from "../../src/auth/settings.ts";
import type { ClientCertificate } from "../../src/auth/certificate.ts";
import type { Fetch } from "../../src/auth/key-set.ts";
import { fakeVerifier, makeVerifier, type ScramVerifier } from "../../src/auth/scram-verifier.ts";
import type { PasswordAnswer, Users } from "../../src/auth/users.ts";
import { configOf } from "../../src/config.ts";
import { anonymousIdentity, type Identity, type Usernames } from "../../src/core/access/identity.ts";
import type { AuthenticationRequest, AuthenticationStep } from "../../src/core/authentication.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { ScramClient } from "./scram-client.ts";
import { authenticationOf, secret } from "./settings.ts";

const nowSec = 1_900_000_000;
const rights = { roles: ["reader"], rules: [] };
const hookSettings = { HOOK_URL: "https://hook.example", HOOK_SECRET: secret };

let nowMs = nowSec * 1000;

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  nowMs = nowSec * 1000;
});

/** One user, ann, with the password "pencil". */
function users(): { [Name in keyof Users]: ReturnType<typeof vi.fn<Users[Name]>> } {
  return {
    verifyPassword: vi.fn<Users["verifyPassword"]>(async (username, password) => {
      if (username !== "ann") return { type: "unknown" };
      return password === "pencil" ? { type: "verified", username, rights } : { type: "wrong" };
    }),
    scramVerifier: vi.fn<Users["scramVerifier"]>(async (username) =>
      username === "ann"
        ? { type: "verifier", verifier: await pencil(), rights }
        : { type: "verifier", verifier: await fakeVerifier(username, new Uint8Array(32)) },
    ),
    loginSucceeded: vi.fn<Users["loginSucceeded"]>(async () => {}),
  };
}

async function pencil(): Promise<ScramVerifier> {
  return (await makeVerifier("pencil", new Uint8Array(16), 4096)) as ScramVerifier;
}

const noFetch: Fetch = () => Promise.reject(new Error("nothing is fetched here"));

function authenticator(variables: Readonly<Record<string, string>>, from: Users = users(), fetch = noFetch) {
  return new Authenticator("default", authenticationOf({ OPERATOR_TOKEN: secret, ...variables }), {
    users: from,
    fetch,
    nowMs: () => nowMs,
  });
}

function login(username: string | undefined, password: string): AuthenticationRequest {
  const bytes = new TextEncoder().encode(password);
  return { type: "password", clientId: "c", ...(username !== undefined && { username }), password: bytes };
}

function token(claims: Record<string, unknown> = {}, key = secret): Promise<string> {
  return new SignJWT({ sub: "tom", exp: nowSec + 60, ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(key));
}

function codeOf(step: AuthenticationStep): number {
  return step.type === "failure" ? step.reasonCode : ReasonCode.Success;
}

describe("The providers", () => {
  test("are those that are set up, unless the settings list them", () => {
    expect(authenticationOf({}).providers).toEqual([]);
    expect(authenticationOf({ OPERATOR_TOKEN: secret }).providers).toEqual(["password"]);
    expect(
      authenticationOf({
        OPERATOR_TOKEN: secret,
        JWT_SECRET: secret,
        CERTIFICATE_USERNAME: "cn",
        ...hookSettings,
      }).providers,
    ).toEqual(["certificate", "token", "password", "hook"]);
    expect(
      authenticationOf({ OPERATOR_TOKEN: secret, AUTHENTICATION: "hook, password", ...hookSettings })
        .providers,
    ).toEqual(["hook", "password"]);
  });

  test("take a token as a password, whatever the user name", async () => {
    const subject = authenticator({ JWT_SECRET: secret });
    for (const username of [undefined, "ann", "anything"]) {
      const step = await subject.authenticate(login(username, await token()));
      expect(step).toMatchObject({ type: "success", identity: { method: "token", username: "tom" } });
    }
  });

  test("do not hand on a token that is bad", async () => {
    const from = users();
    const fetch = vi.fn<Fetch>(async () => Response.json({ result: "allow" }));
    const subject = authenticator({ JWT_SECRET: secret, ...hookSettings }, from, fetch);
    const bad = await token({}, "another secret of 32 characters!!");
    expect(codeOf(await subject.authenticate(login("ann", bad)))).toBe(ReasonCode.NotAuthorized);
    expect(from.verifyPassword).not.toHaveBeenCalled();
    expect(fetch).not.toHaveBeenCalled();
  });

  test("are asked in their order: users first have passwords that look like tokens to themselves", async () => {
    const from = users();
    from.verifyPassword.mockResolvedValue({ type: "verified", username: "ann", rights });
    const subject = authenticator({ AUTHENTICATION: "password,token", JWT_SECRET: secret }, from);
    const step = await subject.authenticate(login("ann", await token()));
    expect(step).toMatchObject({ identity: { method: "password", username: "ann" } });
  });

  test("hand on a user whom they do not know, but not a wrong password", async () => {
    const fetch = vi.fn<Fetch>(async () => Response.json({ result: "allow" }));
    const subject = authenticator(hookSettings, users(), fetch);
    expect(await subject.authenticate(login("bob", "x"))).toMatchObject({ identity: { method: "hook" } });
    expect(codeOf(await subject.authenticate(login("ann", "x")))).toBe(ReasonCode.BadUserNameOrPassword);
    expect(fetch).toHaveBeenCalledTimes(1);
  });

  test("answer alike for a wrong password and for nobody", async () => {
    const subject = authenticator({});
    const wrong = await subject.authenticate(login("ann", "x"));
    expect(codeOf(wrong)).toBe(ReasonCode.BadUserNameOrPassword);
    expect(await subject.authenticate(login("bob", "x"))).toEqual(wrong);
    expect(await subject.authenticate(login("bob\u0007", "x"))).toEqual(wrong);
    expect(await subject.authenticate(login(undefined, "x"))).toEqual(wrong);
  });

  test("of nobody's credentials make an anonymous client, where those are allowed", async () => {
    const subject = authenticator({ ANONYMOUS: "true" });
    expect(await subject.authenticate(login("bob", "x"))).toEqual({
      type: "success",
      identity: { method: "anonymous", roles: ["anonymous"], claims: {}, rules: [] },
      isFailedLogin: true,
    });
    expect(codeOf(await subject.authenticate(login("ann", "x")))).toBe(ReasonCode.BadUserNameOrPassword);
  });

  test("that do not look at logins do not take them for failed ones", async () => {
    const subject = new Authenticator(
      "default",
      authenticationOf({ ANONYMOUS: "true", CERTIFICATE_USERNAME: "cn" }),
      { users: users(), fetch: noFetch, nowMs: () => nowMs },
    );
    const step = await subject.authenticate(login("bob", "x"));
    expect(step).toMatchObject({ type: "success", identity: { method: "anonymous" } });
    expect(step).not.toHaveProperty("isFailedLogin");
  });

  test("that fail let nobody in, and the next is not asked", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const from = users();
    from.verifyPassword.mockRejectedValue(new Error("lost"));
    const fetch = vi.fn<Fetch>(async () => Response.json({ result: "allow" }));
    const subject = authenticator({ ANONYMOUS: "true", ...hookSettings }, from, fetch);
    expect(codeOf(await subject.authenticate(login("ann", "pencil")))).toBe(ReasonCode.ServerUnavailable);
    expect(fetch).not.toHaveBeenCalled();
  });

  test("that take too long let nobody in", async () => {
    vi.useFakeTimers();
    const from = users();
    from.verifyPassword.mockReturnValue(new Promise(() => {}));
    const step = authenticator({}, from).authenticate(login("ann", "pencil"));
    await vi.advanceTimersByTimeAsync(patienceMs);
    expect(codeOf(await step)).toBe(ReasonCode.ServerUnavailable);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("leave no timer behind, which would keep an object awake", async () => {
    vi.useFakeTimers();
    await authenticator({}).authenticate({ type: "method", method: "none", clientId: "c" });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("refuse an identity that a socket cannot keep", async () => {
    const subject = authenticator({ JWT_SECRET: secret });
    const step = await subject.authenticate(login("ann", await token({ essay: "x".repeat(4096) })));
    expect(codeOf(step)).toBe(ReasonCode.NotAuthorized);
  });
});

describe("The Authentication Method JWT", () => {
  const show = (data?: Uint8Array): AuthenticationRequest => ({
    type: "method",
    method: "JWT",
    clientId: "c",
    ...(data !== undefined && { data }),
  });

  test("takes a token in one step", async () => {
    const subject = authenticator({ JWT_SECRET: secret });
    const step = await subject.authenticate(show(new TextEncoder().encode(await token())));
    expect(step).toMatchObject({ type: "success", identity: { method: "token", username: "tom" } });
  });

  test.each<[string, () => Promise<Uint8Array | undefined>]>([
    ["no data", async () => undefined],
    ["what is no text", async () => Uint8Array.of(0xff)],
    ["what is no token", async () => new TextEncoder().encode("pencil")],
    ["a token of another key", async () => new TextEncoder().encode(await token({}, `${secret}x`))],
    ["a token that is over", async () => new TextEncoder().encode(await token({ exp: nowSec - 31 }))],
  ])("refuses %s", async (_title, data) => {
    const subject = authenticator({ JWT_SECRET: secret, ANONYMOUS: "true" });
    expect(codeOf(await subject.authenticate(show(await data())))).toBe(ReasonCode.NotAuthorized);
  });

  test("is there where tokens are", async () => {
    expect(authenticationMethodsOf(authenticationOf({ JWT_SECRET: secret }))).toEqual(["JWT"]);
    expect(codeOf(await authenticator({}).authenticate(show()))).toBe(ReasonCode.BadAuthenticationMethod);
  });
});

describe("A password that was right", () => {
  test("is not asked about again for a minute", async () => {
    const from = users();
    const subject = authenticator({}, from);
    for (const elapsedMs of [0, 59_999]) {
      nowMs = nowSec * 1000 + elapsedMs;
      expect(codeOf(await subject.authenticate(login("ann", "pencil")))).toBe(ReasonCode.Success);
    }
    expect(from.verifyPassword).toHaveBeenCalledTimes(1);
    nowMs += 1;
    await subject.authenticate(login("ann", "pencil"));
    expect(from.verifyPassword).toHaveBeenCalledTimes(2);
  });

  test("does not make another one right", async () => {
    const subject = authenticator({});
    await subject.authenticate(login("ann", "pencil"));
    expect(codeOf(await subject.authenticate(login("ann", "pen")))).toBe(ReasonCode.BadUserNameOrPassword);
    expect(codeOf(await subject.authenticate(login("bob", "pencil")))).toBe(ReasonCode.BadUserNameOrPassword);
  });

  test("is asked about again when the user is forgotten", async () => {
    const from = users();
    const subject = authenticator({}, from);
    await subject.authenticate(login("ann", "pencil"));
    subject.forget(["bob"]);
    await subject.authenticate(login("ann", "pencil"));
    expect(from.verifyPassword).toHaveBeenCalledTimes(1);
    subject.forget(["ann"]);
    from.verifyPassword.mockResolvedValue({ type: "wrong" });
    expect(codeOf(await subject.authenticate(login("ann", "pencil")))).toBe(ReasonCode.BadUserNameOrPassword);
  });

  test("is asked about again when all users are forgotten", async () => {
    const from = users();
    const subject = authenticator({}, from);
    await subject.authenticate(login("ann", "pencil"));
    subject.forget("all");
    await subject.authenticate(login("ann", "pencil"));
    expect(from.verifyPassword).toHaveBeenCalledTimes(2);
  });

  test("says to which Client Identifier its user is bound", async () => {
    const from = users();
    const bound = { ...rights, clientId: "ann-1" };
    from.verifyPassword.mockResolvedValue({ type: "verified", username: "ann", rights: bound });
    expect(await authenticator({}, from).authenticate(login("ann", "pencil"))).toMatchObject({
      type: "success",
      identity: { method: "password", clientId: "ann-1" },
    });
  });

  test("is asked about once for all who show it at once", async () => {
    const from = users();
    const subject = authenticator({}, from);
    let answer: (answer: PasswordAnswer) => void = () => {};
    from.verifyPassword.mockReturnValue(new Promise((resolve) => (answer = resolve)));
    const logins = Array.from({ length: 20 }, () => subject.authenticate(login("ann", "pencil")));
    await vi.waitUntil(() => from.verifyPassword.mock.calls.length > 0);
    answer({ type: "verified", username: "ann", rights });
    expect((await Promise.all(logins)).filter(({ type }) => type !== "success")).toEqual([]);
    expect(from.verifyPassword).toHaveBeenCalledTimes(1);
  });

  test("is asked about anew after a change, whatever is still under way", async () => {
    const from = users();
    const subject = authenticator({}, from);
    let answer: (answer: PasswordAnswer) => void = () => {};
    from.verifyPassword.mockReturnValueOnce(new Promise((resolve) => (answer = resolve)));
    const before = subject.authenticate(login("ann", "pencil"));
    await vi.waitUntil(() => from.verifyPassword.mock.calls.length > 0);
    subject.forget(["ann"]);
    from.verifyPassword.mockResolvedValue({ type: "wrong" });
    expect((await subject.authenticate(login("ann", "pencil"))).type).toBe("failure");
    answer({ type: "verified", username: "ann", rights });
    expect((await before).type).toBe("failure");
  });

  test.each<[Usernames, "success" | "failure"]>([
    [["bob"], "success"],
    [["bob", "ann"], "failure"],
    ["all", "failure"],
    // So many that nobody knows any more who the first of them was.
    [Array.from({ length: 2_000 }, (_, index) => `user-${index}`), "failure"],
  ])("is worth nothing when its user was forgotten meanwhile, or may have been", async (usernames, type) => {
    const from = users();
    const subject = authenticator({}, from);
    from.verifyPassword.mockImplementationOnce(async (username) => {
      subject.forget(usernames);
      return { type: "verified", username, rights };
    });
    expect((await subject.authenticate(login("ann", "pencil"))).type).toBe(type);
    const client = new ScramClient("ann", "pencil");
    const first = await begin(client, subject);
    if (first.type !== "continue") throw new Error("the exchange does not go on");
    subject.forget(usernames);
    const { state } = first;
    const data = client.final(first.data);
    const last = { type: "method", method: "SCRAM-SHA-256", clientId: "c", data, state } as const;
    expect((await subject.authenticate(last)).type).toBe(type);
    // What was forgotten before counts no more.
    expect((await exchange(new ScramClient("ann", "pencil"), subject)).type).toBe("success");
  });

  test("is not kept when the user was forgotten while it was asked about", async () => {
    const from = users();
    const subject = authenticator({}, from);
    from.verifyPassword.mockImplementationOnce(async (username) => {
      subject.forget(["ann"]);
      return { type: "verified", username, rights };
    });
    await subject.authenticate(login("ann", "pencil"));
    await subject.authenticate(login("ann", "pencil"));
    expect(from.verifyPassword).toHaveBeenCalledTimes(2);
  });
});

function begin(client: ScramClient, subject: Authenticator): Promise<AuthenticationStep> {
  return subject.authenticate({ type: "method", method: "SCRAM-SHA-256", clientId: "c", data: client.first });
}

async function exchange(client: ScramClient, subject: Authenticator): Promise<AuthenticationStep> {
  const step = await begin(client, subject);
  if (step.type !== "continue") return step;
  const data = client.final(step.data);
  const { state } = step;
  return subject.authenticate({ type: "method", method: "SCRAM-SHA-256", clientId: "c", data, state });
}

describe("Enhanced authentication", () => {
  test("by SCRAM-SHA-256 gives the user's identity, and shows the client the server", async () => {
    const from = users();
    const client = new ScramClient("ann", "pencil");
    const step = await exchange(client, authenticator({}, from));
    expect(step).toMatchObject({
      type: "success",
      identity: { method: "scram", username: "ann", roles: ["reader"] },
    });
    expect(step.type === "success" && client.isServer(step.data)).toBe(true);
    expect(from.loginSucceeded).toHaveBeenCalledWith("ann");
  });

  test("says to which Client Identifier its user is bound", async () => {
    const from = users();
    const bound = { ...rights, clientId: "ann-1" };
    from.scramVerifier.mockResolvedValue({ type: "verifier", verifier: await pencil(), rights: bound });
    expect(await exchange(new ScramClient("ann", "pencil"), authenticator({}, from))).toMatchObject({
      type: "success",
      identity: { method: "scram", clientId: "ann-1" },
    });
  });

  test("gets no further with a wrong password, or for nobody, and both look alike", async () => {
    const from = users();
    const subject = authenticator({}, from);
    const wrong = await exchange(new ScramClient("ann", "pen"), subject);
    expect(codeOf(wrong)).toBe(ReasonCode.BadUserNameOrPassword);
    expect(await exchange(new ScramClient("bob", "pencil"), subject)).toEqual(wrong);
    expect(from.loginSucceeded).not.toHaveBeenCalled();
  });

  test("begins alike for somebody and for nobody", async () => {
    const subject = authenticator({});
    const [ann, bob, again] = await Promise.all(
      ["ann", "bob", "bob"].map((name) => begin(new ScramClient(name, "x"), subject)),
    );
    const saltOf = (step: AuthenticationStep | undefined): string | undefined =>
      step?.type === "continue" ? /s=([^,]+)/.exec(Buffer.from(step.data).toString())?.[1] : undefined;
    expect(saltOf(bob)).toHaveLength(saltOf(ann)?.length ?? 0);
    expect(saltOf(again)).toBe(saltOf(bob));
  });

  test("does not take the last message for the first", async () => {
    const subject = authenticator({});
    const client = new ScramClient("ann", "pencil");
    const step = await begin(client, subject);
    if (step.type !== "continue") throw new Error("the exchange does not go on");
    const data = client.final(step.data);
    const late = await subject.authenticate({ type: "method", method: "SCRAM-SHA-256", clientId: "c", data });
    expect(codeOf(late)).toBe(ReasonCode.ProtocolError);
  });

  test("is refused while there are too many attempts", async () => {
    const from = users();
    from.scramVerifier.mockResolvedValue({ type: "busy" });
    expect(codeOf(await exchange(new ScramClient("ann", "pencil"), authenticator({}, from)))).toBe(
      ReasonCode.ServerBusy,
    );
  });

  test("by another method is refused, as is SCRAM where passwords are not asked for", async () => {
    const withoutPasswords = { AUTHENTICATION: "token", JWT_SECRET: secret };
    expect(authenticationMethodsOf(authenticationOf({ OPERATOR_TOKEN: secret }))).toEqual(["SCRAM-SHA-256"]);
    expect(authenticationMethodsOf(authenticationOf(withoutPasswords))).toEqual(["JWT"]);
    for (const [method, variables] of [
      ["SCRAM-SHA-1", {}],
      ["SCRAM-SHA-256", withoutPasswords],
    ] as const) {
      const step = await authenticator(variables).authenticate({ type: "method", method, clientId: "c" });
      expect(codeOf(step)).toBe(ReasonCode.BadAuthenticationMethod);
    }
  });
});

/** A name in two notations: with a ligature, and in normal form. */
const written = "\ufb01nn";
const normal = "finn";

const certificateOf = (subject: string): ClientCertificate => ({
  certPresented: "1",
  certVerified: "SUCCESS",
  certRevoked: "0",
  certSubjectDNRFC2253: subject,
  certFingerprintSHA256: "00",
  certNotAfter: "",
});

function hookOf(answer: object): Fetch {
  return async () => Response.json({ result: "allow", ...answer });
}

function identityOf(step: AuthenticationStep | Verdict): Identity | undefined {
  return "identity" in step ? step.identity : undefined;
}

describe("A user name", () => {
  test("in another notation than the normal one is refused, whoever vouches for it: it may be somebody else's", async () => {
    const settings = { JWT_SECRET: secret, CERTIFICATE_USERNAME: "cn", ...hookSettings };
    const tokens = authenticator(settings);
    const credential = await token({ sub: written });
    const data = new TextEncoder().encode(credential);
    const answers: (AuthenticationStep | Verdict)[] = [
      await tokens.authenticate(login("x", credential)),
      await tokens.authenticate({ type: "method", method: tokenMethod, clientId: "c", data }),
      await tokens.authenticateUpgrade({ token: credential }),
      await tokens.authenticateUpgrade({ certificate: certificateOf(`CN=${written}`) }),
    ];
    for (const answer of [{}, { username: written }]) {
      const subject = authenticator(settings, users(), hookOf(answer));
      answers.push(await subject.authenticate(login(written, "x")));
    }
    const reasonString = expect.stringContaining("normal form");
    const refusal = { reasonCode: ReasonCode.NotAuthorized, reasonString };
    for (const { type, ...answer } of answers) {
      expect(answer).toEqual(type === "deny" ? { refusal } : refusal);
    }
    expect(identityOf(await tokens.authenticate(login("x", await token({ sub: normal }))))?.username).toBe(
      normal,
    );
  });

  test("with a control character is refused, and so is one that is too long", async () => {
    const subject = authenticator({ JWT_SECRET: secret, CERTIFICATE_USERNAME: "subject", ...hookSettings });
    const answers = [
      await subject.authenticateUpgrade({ token: await token({ sub: "a\u0000" }) }),
      await subject.authenticateUpgrade({ certificate: certificateOf(`CN=${"x".repeat(1024)}`) }),
    ];
    for (const answer of answers) {
      expect(answer).toMatchObject({ type: "deny", refusal: { reasonCode: ReasonCode.NotAuthorized } });
    }
    const hook = authenticator(hookSettings, users(), hookOf({ username: "a\u0007" }));
    expect(await hook.authenticate(login("bob", "x"))).toMatchObject({
      type: "failure",
      reasonCode: ReasonCode.NotAuthorized,
      reasonString: expect.stringContaining("user name"),
    });
  });

  test("may be absent, also by being empty", async () => {
    const subject = authenticator(hookSettings, users(), hookOf({}));
    for (const username of [undefined, ""]) {
      const identity = identityOf(await subject.authenticate(login(username, "x")));
      expect(identity?.method).toBe("hook");
      expect(identity).not.toHaveProperty("username");
    }
  });
});

describe("CLIENT_ID_IS_USERNAME", () => {
  const bound = {
    CLIENT_ID_IS_USERNAME: "true",
    JWT_SECRET: secret,
    CERTIFICATE_USERNAME: "cn",
    ...hookSettings,
  };

  test("binds whoever has a user name to it, by every kind of credential", async () => {
    const subject = authenticator(bound, users(), hookOf({}));
    const client = new ScramClient("ann", "pencil");
    const found = [
      await subject.authenticate(login("ann", "pencil")),
      await exchange(client, subject),
      await subject.authenticate(login("x", await token({ sub: normal }))),
      await subject.authenticate(login(normal, "x")),
      await subject.authenticateUpgrade({ certificate: certificateOf("CN=cora") }),
    ].map(identityOf);
    expect(found.map((identity) => [identity?.method, identity?.clientId])).toEqual([
      ["password", "ann"],
      ["scram", "ann"],
      ["token", normal],
      ["hook", normal],
      ["certificate", "cora"],
    ]);
  });

  test("leaves what a credential says itself, and those who have no user name", async () => {
    const named = authenticator(bound, users(), hookOf({ clientId: "device" }));
    expect(identityOf(await named.authenticate(login("bob", "x")))?.clientId).toBe("device");
    const nameless = authenticator(bound, users(), hookOf({}));
    expect(identityOf(await nameless.authenticate(login(undefined, "x")))).not.toHaveProperty("clientId");
    const anonymous = authenticator({ CLIENT_ID_IS_USERNAME: "true", ANONYMOUS: "true" });
    expect(identityOf(await anonymous.authenticate(login("bob", "x")))).toEqual(anonymousIdentity);
  });

  test("refuses a user name that is too long for a Client Identifier", async () => {
    const subject = authenticator(bound, users(), hookOf({}));
    const step = await subject.authenticate(login("x".repeat(257), "x"));
    expect(codeOf(step)).toBe(ReasonCode.ClientIdentifierNotValid);
  });

  test("is off by default, and each namespace's own", () => {
    const NAMESPACES = JSON.stringify({ b: { CLIENT_ID_IS_USERNAME: "true" } });
    expect(configOf({ NAMESPACES }, "default")?.authentication.clientIdIsUsername).toBe(false);
    expect(configOf({ NAMESPACES }, "b")?.authentication.clientIdIsUsername).toBe(true);
  });
});

describe("At the upgrade", () => {
  const certificate = certificateOf("CN=ann");

  test("a good token gives an identity, and a bad one is denied", async () => {
    const subject = authenticator({ JWT_SECRET: secret });
    expect(await subject.authenticateUpgrade({ token: await token() })).toMatchObject({
      type: "allow",
      identity: { method: "token", username: "tom" },
    });
    for (const bad of ["", "x", await token({ exp: nowSec - 100 })]) {
      expect(await subject.authenticateUpgrade({ token: bad })).toMatchObject({ type: "deny" });
    }
  });

  test("the order decides between a certificate and a token", async () => {
    const variables = { JWT_SECRET: secret, CERTIFICATE_USERNAME: "cn" };
    const credentials = { token: await token(), certificate };
    expect(await authenticator(variables).authenticateUpgrade(credentials)).toMatchObject({
      identity: { method: "certificate" },
    });
    const reverse = authenticator({ ...variables, AUTHENTICATION: "token,certificate" });
    expect(await reverse.authenticateUpgrade(credentials)).toMatchObject({ identity: { method: "token" } });
  });

  test("what no provider is set up for is nothing, and asks nobody", async () => {
    const from = users();
    const fetch = vi.fn<Fetch>();
    const subject = authenticator(hookSettings, from, fetch);
    expect(await subject.authenticateUpgrade({ token: "t", certificate })).toEqual({ type: "unknown" });
    expect(await subject.authenticateUpgrade({})).toEqual({ type: "unknown" });
    expect(from.verifyPassword).not.toHaveBeenCalled();
    expect(fetch).not.toHaveBeenCalled();
  });
});
