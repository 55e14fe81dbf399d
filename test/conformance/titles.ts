/** Finds, without running them, the tests whose titles begin with ids of normative statements. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

export interface CitingTest {
  /** The statements that the title cites. */
  readonly ids: readonly string[];
  /** The title without its ids, behind the title of the `describe` around it. */
  readonly title: string;
  /** From the root of the repository. */
  readonly path: string;
}

const ROOT = resolve(import.meta.dirname, "../..");
const ID = String.raw`\[(MQTT-[^\]]*)\]`;
const LEADING_IDS = new RegExp(String.raw`^(?:${ID}[ ,]*)+`);
const CITING_LITERAL = new RegExp(String.raw`(["'\`])(\[MQTT-(?:\\.|(?!\1)[^\\\n])*)\1`, "g");
const OPENING_DESCRIBE = /^(\s*)(?:describe\(|describe\..*\)\(|\].*\)\()(["'`])(.*?)\2, /;
/** What cites statements without being a test of them. */
const OWN_FILES = /^test\/conformance\/(?:conformance\.test|titles|table|statement[^/]*)\.ts$/;
const LEFT_OUT = /\.(?:skip|todo|fails|skipIf|runIf)\b/;

/** All tests under `test/` that cite a statement, in the order of their files. */
export function citingTests(): CitingTest[] {
  return testFiles().flatMap((path) => {
    const text = readFileSync(join(ROOT, path), "utf8");
    return path.endsWith(".json") ? inVectors(path, text) : inSource(path, text);
  });
}

function testFiles(): string[] {
  return readdirSync(join(ROOT, "test"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((path) => /(?<!\.d)\.ts$|^test\/vectors\/.*\.json$/.test(path))
    .filter((path) => !OWN_FILES.test(path))
    .toSorted();
}

function inVectors(path: string, text: string): CitingTest[] {
  const vectors = JSON.parse(text) as { readonly name: string }[];
  return vectors.flatMap(({ name }) => citing(path, name, ""));
}

export function inSource(path: string, text: string): CitingTest[] {
  const lines = text.split("\n");
  return [...text.matchAll(CITING_LITERAL)].flatMap((match) => {
    const lineIndex = text.slice(0, match.index).split("\n").length - 1;
    const line = lines[lineIndex] ?? "";
    if (LEFT_OUT.test(line) || /^\s*(?:\/\/|\*)/.test(line)) return [];
    const context = /^\s*describe\b/.test(line) ? "" : describeAround(lines, lineIndex);
    return citing(path, match[2] ?? "", context);
  });
}

/** The ids that a title begins with; `title` is what remains. */
export function splitTitle(text: string): { ids: string[]; title: string } {
  const lead = LEADING_IDS.exec(text)?.[0] ?? "";
  const ids = [...lead.matchAll(new RegExp(ID, "g"))].map(([, id]) => id ?? "");
  return { ids, title: text.slice(lead.length).trim() };
}

function citing(path: string, text: string, context: string): CitingTest[] {
  const { ids, title } = splitTitle(text);
  if (ids.length === 0) return [];
  const whole = `${splitTitle(context).title} ${title}`.trim();
  return [{ ids, path, title: whole.replaceAll(/%[a-z]|\$\{[^}]*\}|\$(?!share\b)[a-z]\w*/g, "…") }];
}

/** The title of the innermost `describe` that the line is in; empty without one. */
function describeAround(lines: readonly string[], lineIndex: number): string {
  let indent = indentOf(lines[lineIndex] ?? "");
  for (let index = lineIndex - 1; index >= 0 && indent > 0; index -= 1) {
    const line = lines[index] ?? "";
    if (line.trim() === "" || indentOf(line) >= indent) continue;
    indent = indentOf(line);
    const title = OPENING_DESCRIBE.exec(line)?.[3];
    if (title !== undefined) return title;
  }
  return "";
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

/** The folder and name of a test file, short enough for a table. */
export function shortName(path: string): string {
  const name =
    path
      .split("/")
      .at(-1)
      ?.replace(/(?:\.test)?\.(?:ts|json)$/, "") ?? "";
  return join(relative("test", dirname(path)), name);
}
