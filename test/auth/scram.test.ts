import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { fromBase64, fromUtf8, utf8 } from "../../src/auth/bytes.ts";
import { prepared } from "../../src/auth/sasl-prep.ts";
import { challenge, parseClientFirst, prove, type ScramState } from "../../src/auth/scram.ts";
import {
  fakeVerifier,
  iterationsMax,
  makeVerifier,
  type ScramVerifier,
  verifyPassword,
} from "../../src/auth/scram-verifier.ts";
import { ScramClient } from "./scram-client.ts";

/** RFC 7677, section 3: user "user", password "pencil". */
const example = {
  clientFirst: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
  serverNonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
  salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
  iterations: 4096,
  serverFirst: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
  clientFinal:
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
  serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
};

let pencil: ScramVerifier;

beforeAll(async () => {
  pencil = await verifierOf("pencil", fromBase64(example.salt));
});

async function verifierOf(password: string, salt = utf8("sixteen bytes ...")): Promise<ScramVerifier> {
  const verifier = await makeVerifier(password, salt, 4096);
  if (verifier === undefined) throw new Error("nobody may have that password");
  return verifier;
}

function begin(
  clientFirst = example.clientFirst,
  verifier = pencil,
): { serverFirst: string; state: ScramState } {
  const first = parseClientFirst(utf8(clientFirst));
  if (first === undefined) throw new Error("this is no first message");
  const { data, state } = challenge(first, verifier, example.serverNonce);
  return { serverFirst: fromUtf8(data) ?? "", state };
}

async function finish(clientFinal: string, state: ScramState): Promise<string | undefined> {
  const data = await prove(utf8(clientFinal), state);
  return data && fromUtf8(data);
}

describe("SCRAM-SHA-256", () => {
  test("goes as in the example of RFC 7677", async () => {
    const { serverFirst, state } = begin();
    expect(state.username).toBe("user");
    expect(serverFirst).toBe(example.serverFirst);
    expect(await finish(example.clientFinal, state)).toBe(example.serverFinal);
  });

  test("survives that its state is handed over as a clone", async () => {
    const { state } = begin();
    expect(await finish(example.clientFinal, structuredClone(state))).toBe(example.serverFinal);
  });

  test.each([
    ["is cut off", example.clientFinal.slice(0, -1)],
    ["has another proof", example.clientFinal.replace("p=dHz", "p=eHz")],
    ["has a short proof", example.clientFinal.replace(/p=.*$/, "p=dHzb")],
    ["has no proof", example.clientFinal.replace(/,p=.*$/, "")],
    ["has another nonce", example.clientFinal.replace("r=r", "r=s")],
    ["has the client's nonce only", example.clientFinal.replace(example.serverNonce, "")],
    ["has another header", example.clientFinal.replace("c=biws", "c=eSws")],
    ["has an extension that was not signed", example.clientFinal.replace(",p=", ",x=1,p=")],
    ["is empty", ""],
    ["is too long", `${example.clientFinal},${"x".repeat(5000)}`],
  ])("refuses a last message that %s", async (_, clientFinal) => {
    expect(await finish(clientFinal, begin().state)).toBeUndefined();
  });

  test.each([
    ["no header", "n=user,r=nonce"],
    ["channel binding", "p=tls-unique,,n=user,r=nonce"],
    ["an unknown flag", "x,,n=user,r=nonce"],
    ["somebody to act for", "n,a=root,n=user,r=nonce"],
    ["a mandatory extension", "n,,m=1,n=user,r=nonce"],
    ["no name", "n,,n=,r=nonce"],
    ["no nonce", "n,,n=user,r="],
    ["a nonce that cannot be printed", "n,,n=user,r=a b"],
    ["a stray equals sign", "n,,n=us=er,r=nonce"],
    ["a control character in the name", "n,,n=us\u0007er,r=nonce"],
    ["no text", "\u0000"],
    ["a line after it", "n,,n=user,r=nonce\nx"],
  ])("refuses a first message with %s", (_, clientFirst) => {
    expect(parseClientFirst(utf8(clientFirst))).toBeUndefined();
  });

  test("refuses bytes that are no UTF-8", () => {
    expect(parseClientFirst(Uint8Array.of(0x6e, 0x2c, 0x2c, 0xff))).toBeUndefined();
  });

  test.each(["y,,", "n,a=user,"])("takes the header %j", async (gs2Header) => {
    const client = new ScramClient("user", "pencil", "nonce", gs2Header);
    const first = parseClientFirst(client.first);
    if (first === undefined) throw new Error("the first message is refused");
    const { data, state } = challenge(first, pencil);
    expect(client.isServer(await prove(client.final(data), state))).toBe(true);
  });

  test("makes up another nonce each time", () => {
    const first = parseClientFirst(utf8(example.clientFirst));
    if (first === undefined) throw new Error("the first message is refused");
    const nonces = Array.from({ length: 50 }, () => challenge(first, pencil).state.nonce);
    expect(new Set(nonces).size).toBe(50);
  });

  test("does not let a proof be used again", async () => {
    const client = new ScramClient("user", "pencil");
    const first = parseClientFirst(client.first);
    if (first === undefined) throw new Error("the first message is refused");
    const one = challenge(first, pencil);
    const another = challenge(first, pencil);
    const proof = client.final(one.data);
    expect(await prove(proof, one.state)).toBeDefined();
    expect(await prove(proof, another.state)).toBeUndefined();
  });

  test("any name that can be had gets through its escapes, and no other password does", async () => {
    const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(name, fc.constantFrom("pencil", "pen"), async (username, password) => {
        const usable = prepared(username, 256);
        fc.pre(usable !== undefined);
        const client = new ScramClient(username, password);
        const first = parseClientFirst(client.first);
        expect(first?.username).toBe(usable);
        const { data, state } = challenge(first as NonNullable<typeof first>, pencil);
        const serverFinal = await prove(client.final(data), state);
        expect(client.isServer(serverFinal)).toBe(password === "pencil");
        expect(serverFinal === undefined).toBe(password !== "pencil");
      }),
      { numRuns: 60 },
    );
  });
});

describe("A verifier", () => {
  test("verifies its password, and no other", async () => {
    expect(await verifyPassword("pencil", pencil)).toBe(true);
    for (const password of ["Pencil", "pencil ", "", "-", "p".repeat(2000), "pen\u0000cil"]) {
      expect(await verifyPassword(password, pencil)).toBe(false);
    }
  });

  test("does not take what stands for an unusable password", async () => {
    expect(await verifyPassword("", await verifierOf("-"))).toBe(false);
    expect(await verifyPassword("-", await verifierOf("-"))).toBe(true);
  });

  test("takes the forms of a letter for one", async () => {
    const verifier = await verifierOf("Ångström");
    expect(await verifyPassword("A\u030angstro\u0308m", verifier)).toBe(true);
  });

  test.each(["", "a\u0000b", "tab\there", "p".repeat(1025), "\ud800"])(
    "is not made of %#",
    async (password) => {
      expect(await makeVerifier(password)).toBeUndefined();
    },
  );

  test("has a salt of its own and as many iterations as Cloudflare does", async () => {
    const [one, another] = await Promise.all([makeVerifier("pencil"), makeVerifier("pencil")]);
    expect(one?.iterations).toBe(iterationsMax);
    expect(one?.salt).toHaveLength(16);
    expect(one?.salt).not.toEqual(another?.salt);
    expect(one?.storedKey).not.toEqual(another?.storedKey);
  });
});

describe("A verifier for nobody", () => {
  const secret = utf8("only the server knows");

  test("is always the same, and looks as any other", async () => {
    const [one, again, other] = await Promise.all([
      fakeVerifier("ann", secret),
      fakeVerifier("ann", secret),
      fakeVerifier("bob", secret),
    ]);
    expect(one).toEqual(again);
    expect(one.salt).not.toEqual(other.salt);
    const real = await makeVerifier("pencil");
    const shape = (verifier: ScramVerifier): number[] => [
      verifier.salt.length,
      verifier.iterations,
      verifier.storedKey.length,
      verifier.serverKey.length,
    ];
    expect(shape(one)).toEqual(shape(real as ScramVerifier));
  });

  test("depends on the secret", async () => {
    const [one, other] = await Promise.all([
      fakeVerifier("ann", secret),
      fakeVerifier("ann", utf8("another")),
    ]);
    expect(one.salt).not.toEqual(other.salt);
  });

  test("lets nobody in", async () => {
    const verifier = await fakeVerifier("ann", secret);
    expect(await verifyPassword("pencil", verifier)).toBe(false);
    const client = new ScramClient("ann", "pencil");
    const first = parseClientFirst(client.first);
    if (first === undefined) throw new Error("the first message is refused");
    const { data, state } = challenge(first, verifier);
    expect(await prove(client.final(data), state)).toBeUndefined();
  });
});
