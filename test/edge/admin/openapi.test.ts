import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Asked, Broker } from "./broker.ts";
import { type DocumentedOperation, documentedOperations } from "./document.ts";
import { operationNames, people } from "./operations.ts";

let documented: ReadonlyMap<string, DocumentedOperation>;

beforeAll(async () => {
  documented = await documentedOperations();
});

/** Throws for an answer that the document does not tell of, and for one with more than it tells. */
function check(name: string, { headers, json, status, text }: Asked): void {
  const { responses = {} } = documented.get(name) ?? {};
  const response = responses[status] ?? responses[`${Math.floor(status / 100)}XX`];
  if (response === undefined) throw new Error(`${name}: no answer of status ${status} is documented`);
  const [[type, { schema }] = [undefined, { schema: undefined }]] = Object.entries(response.content ?? {});
  if (type === undefined || schema === undefined) {
    expect(text).toBe("");
    return;
  }
  expect(headers.get("content-type")?.split(";")[0]).toBe(type);
  z.fromJSONSchema(closed(schema) as never).parse(json);
}

/** The schema, so that objects have what it names and nothing else. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const parts = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)]));
  return "properties" in parts ? { additionalProperties: false, ...parts } : parts;
}

test("The OpenAPI document has every operation that there is, and no other", () => {
  expect([...documented.keys()].toSorted()).toEqual(operationNames.toSorted());
});

test("The OpenAPI document says which changes take If-Match", () => {
  const withIfMatch = [...documented].filter(([, { parameters = [] }]) =>
    parameters.some((parameter) => parameter.in === "header" && parameter.name === "if-match"),
  );
  expect(withIfMatch.map(([name]) => name)).toEqual([
    "PUT /policy",
    "PUT /rules",
    "PUT /roles/{role}",
    "DELETE /roles/{role}",
    "POST /bans",
    "DELETE /bans",
  ]);
});

describe.each(operationNames)("%s", (name) => {
  const [method = ""] = name.split(" ");

  test("answers as the OpenAPI document says, also when it refuses", async () => {
    const broker = new Broker();
    const { [name]: operation } = await people(broker);
    const { path = "", question = {} } = operation ?? {};
    check(name, await broker.ask(method, path, { ...question, token: "" }));
    check(name, await broker.ask(method, path, { ...question, token: await broker.issue(["users:read"]) }));
    const answer = await broker.ask(method, path, question);
    expect(answer.status).toBeLessThan(300);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    check(name, answer);
  });

  test("says in the OpenAPI document what it needs", async () => {
    const broker = new Broker();
    const { [name]: operation } = await people(broker);
    const wanted = operation?.scope === "operator" ? "OPERATOR_TOKEN" : `the scope ${operation?.scope}`;
    expect(documented.get(name)).toMatchObject({
      description: `Needs ${wanted}`,
      security: [{ bearer: [] }],
    });
  });
});
