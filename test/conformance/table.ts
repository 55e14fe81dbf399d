/** The conformance table: which tests show which statement. */
import { join } from "node:path";
import type { Statement } from "./statement.ts";
import { statements311 } from "./statements-3.1.1.ts";
import { statements5 } from "./statements-5.ts";
import type { CitingTest } from "./titles.ts";
import { shortName } from "./titles.ts";

export const TABLE_PATH = join(import.meta.dirname, "../../docs/conformance.md");

export const specifications = [
  { name: "MQTT 5.0", statements: statements5 },
  { name: "MQTT 3.1.1", statements: statements311 },
] as const;

const INTRODUCTION = `# Conformance

What duramq does about every normative statement of MQTT 5.0 and MQTT 3.1.1, in our own words, and the tests that show it. Written by
\`node test/conformance/write.ts\` from [test/conformance](../test/conformance) and the titles of the tests, each of which begins with the
statements it shows. \`npm test\` fails when a statement on the server has neither a test nor a reason why it does not apply.
`;

/** The text of docs/conformance.md. */
export function conformanceTable(tests: readonly CitingTest[]): string {
  const byId = testsById(tests);
  const parts = specifications.map(({ name, statements }) => {
    const rows = statements.map((statement) => row(statement, byId.get(statement.id) ?? []));
    const head = ["| statement | on | what duramq does | tests |", "| --- | --- | --- | --- |"];
    return [`## ${name}`, "", summary(statements, byId), "", ...head, ...rows, ""].join("\n");
  });
  return [INTRODUCTION, ...parts].join("\n");
}

/** Statements on the server that nothing shows and that have no reason for it. */
export function unshown(statements: readonly Statement[], tests: readonly CitingTest[]): string[] {
  const byId = testsById(tests);
  return statements
    .filter(({ id, on, doesNotApply }) => on !== "client" && doesNotApply === undefined && !byId.has(id))
    .map(({ id }) => id);
}

/** Titles that cite what no specification has. */
export function unknownCitations(tests: readonly CitingTest[]): string[] {
  const known = new Set(specifications.flatMap(({ statements }) => statements.map(({ id }) => id)));
  return tests.flatMap(({ ids, path, title }) =>
    ids.filter((id) => !known.has(id)).map((id) => `${path}: [${id}] ${title}`),
  );
}

function testsById(tests: readonly CitingTest[]): Map<string, CitingTest[]> {
  const byId = new Map<string, CitingTest[]>();
  for (const test of tests) {
    for (const id of test.ids) byId.set(id, [...(byId.get(id) ?? []), test]);
  }
  return byId;
}

function summary(statements: readonly Statement[], byId: ReadonlyMap<string, unknown>): string {
  const count = (matches: (statement: Statement) => boolean): number => statements.filter(matches).length;
  const client = count(({ on }) => on === "client");
  const excepted = count(({ doesNotApply }) => doesNotApply !== undefined);
  const shown = count(
    ({ id, on, doesNotApply }) => on !== "client" && doesNotApply === undefined && byId.has(id),
  );
  const server = statements.length - client;
  return `${statements.length} statements: ${server} on the server, of which ${shown} are shown by tests and ${excepted} ${excepted === 1 ? "does" : "do"} not apply, and ${client} on the client alone.`;
}

function row({ id, on, what, doesNotApply }: Statement, tests: readonly CitingTest[]): string {
  const shownBy = tests.map(({ title, path }) => `${title} ([${shortName(path)}](../${path}))`);
  if (doesNotApply !== undefined) shownBy.unshift(`Does not apply. ${doesNotApply}`);
  const cells = [`[${id.replace(" (3.1.1)", "")}]`, on, what, [...new Set(shownBy)].join("<br>")];
  return `| ${cells.map(escapeCell).join(" | ")} |`;
}

/** What would be read as a part of the table, or as HTML. */
function escapeCell(text: string): string {
  return text
    .replaceAll("|", String.raw`\|`)
    .replaceAll(/<(?!br>)/g, "&lt;")
    .replaceAll("*", String.raw`\*`);
}
