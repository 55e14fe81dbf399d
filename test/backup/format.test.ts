import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  endLine,
  headerLine,
  isEnd,
  readEnd,
  readHeader,
  readRecord,
  recordLine,
} from "../../src/backup/format.ts";
import { fromBase64, toBase64 } from "../../src/backup/base64.ts";
import { type Line, lineBytesMax, linesOf } from "../../src/backup/lines.ts";

const header = { id: "id", namespace: "default", exportedAt: "2026-01-01T00:00:00.000Z" };

function lineOf(text: string, number = 3): Line {
  return { number, bytes: new TextEncoder().encode(text) };
}

async function* chunked(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for (let index = 0; offset < bytes.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1;
    yield bytes.subarray(offset, offset + size);
    offset += size;
  }
}

async function textsOf(chunks: AsyncIterable<Uint8Array>): Promise<(readonly [number, string])[]> {
  const texts: (readonly [number, string])[] = [];
  for await (const { number, bytes } of linesOf(chunks)) {
    texts.push([number, new TextDecoder().decode(bytes)]);
  }
  return texts;
}

test("lines are the same however the stream is cut, and empty ones are left out", async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
  const text = fc.string({ unit: fc.constantFrom("a", "é", "\n", "😀"), maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(text, sizes, async (whole, cuts) => {
      const numbered = whole.split("\n").map((line, index) => [index + 1, line] as const);
      const found = await textsOf(chunked(new TextEncoder().encode(whole), cuts));
      expect(found).toEqual(numbered.filter(([, line]) => line !== ""));
    }),
  );
});

test("a line that is too long is named before it is whole", async () => {
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield new TextEncoder().encode("one\n");
    for (;;) yield new Uint8Array(1024 * 1024).fill(120);
  }
  await expect(textsOf(endless())).rejects.toThrow(`Line 2 has more than ${lineBytesMax} bytes`);
});

test("bytes come back from base64", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString("base64"));
      expect(fromBase64(toBase64(bytes))).toEqual(bytes);
    }),
  );
  const large = new Uint8Array(100_000).map((_, index) => index);
  expect(fromBase64(toBase64(large))).toEqual(large);
});

test("a header and an end mark are read as they are written", () => {
  expect(readHeader(lineOf(headerLine(header)))).toEqual({ type: "header", format: 1, ...header });
  expect(isEnd(lineOf(endLine(7)))).toBe(true);
  expect(readEnd(lineOf(endLine(7)))).toEqual({ type: "end", records: 7 });
  expect(readEnd(lineOf(endLine(7, "next"))).next).toBe("next");
});

describe("a line is refused by its number, and what is wrong in it, when", () => {
  const message = { topicName: "a/b", payload: "aGk=", qos: 1, retain: true };
  const retained = { type: "retained", publication: { message } };
  const withMessage = (change: object) => ({
    type: "retained",
    publication: { message: { ...message, ...change } },
  });
  const session = {
    type: "session",
    clientId: "client",
    sessionExpiryIntervalSec: 60,
    subscriptions: [],
    deliveryState: { nextOrdinal: 1, sentThrough: 0, inflight: [], receivedQos2: [] },
  };
  const owner = { method: "token", username: "ann", roles: ["one"], claims: { site: "north" }, rules: [] };
  const subscription = {
    topicFilter: "a/#/b",
    maximumQos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
  };

  test("nothing is wrong, it is not", () => {
    expect(readRecord(lineOf(JSON.stringify(retained)))).toMatchObject({ type: "retained" });
    expect(readRecord(lineOf(JSON.stringify(session)))).toEqual(session);
    const owned = { ...session, owner };
    expect(readRecord(lineOf(JSON.stringify(owned)))).toEqual(owned);
  });

  test.each([
    ["it is of another kind", { type: "route" }, "neither retained, message nor session"],
    ["it is no object", 7, "Line 3 is wrong"],
    ["its Topic Name has a wildcard", withMessage({ topicName: "a/#" }), "topicName is no Topic Name"],
    ["its Topic Name has U+0000", withMessage({ topicName: "a\0" }), "topicName has characters"],
    [
      "a text has half of a surrogate pair",
      withMessage({ contentType: "\ud800" }),
      "contentType has characters",
    ],
    ["its payload is not base64", withMessage({ payload: "a" }), "payload is not base64"],
    ["its payload is empty", withMessage({ payload: "" }), "publication has an empty payload"],
    ["it has something that no message has", withMessage({ colour: "red" }), "publication.message"],
    ["a session never outlives its connection", { ...session, sessionExpiryIntervalSec: 0 }, "sessionExpiry"],
    ["a session has no Client Identifier", { ...session, clientId: "" }, "clientId is empty"],
    ["its owner is known by nothing", { ...session, owner: { ...owner, method: "face" } }, "owner.method"],
    ["a Topic Filter is none", { ...session, subscriptions: [subscription] }, "subscriptions.0.topicFilter"],
  ])("%s", (_, value, words) => {
    const line = lineOf(JSON.stringify(value));
    expect(() => readRecord(line)).toThrow(words);
    expect(() => readRecord(line)).toThrow(/^Line 3 /);
  });

  test("it is not UTF-8", () => {
    expect(() => readRecord({ number: 3, bytes: new Uint8Array([0x22, 0xff, 0x22]) })).toThrow(
      "Line 3 is not JSON",
    );
  });

  test("a header is of another format, or none", () => {
    const other = headerLine(header).replace('"format":1', '"format":99');
    expect(() => readHeader(lineOf(other, 1))).toThrow("format is 99; this release reads 1");
    expect(() => readHeader(lineOf(JSON.stringify(retained), 1))).toThrow("is not the header of a backup");
  });
});

test("a record is one line, whatever is in it", () => {
  const message = { topicName: "a\nb", payload: new Uint8Array([10]), qos: 0, retain: true } as const;
  const line = recordLine({ type: "retained", publication: { message } });
  expect(line.indexOf("\n")).toBe(line.length - 1);
  expect(readRecord(lineOf(line))).toEqual({ type: "retained", publication: { message } });
});
