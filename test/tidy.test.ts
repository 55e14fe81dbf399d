import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import {
  isBinaryExpression,
  isCallExpression,
  isExportDeclaration,
  isExpressionStatement,
  isIdentifier,
  isImportDeclaration,
  isPropertyAccessExpression,
  isStringLiteral,
  type Node,
  type SourceFile,
  SyntaxKind,
} from "typescript/unstable/ast";
import { API, type Project } from "typescript/unstable/sync";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundle } from "../src/host/build.ts";

const ROOT = resolve(import.meta.dirname, "..");
const PROJECT_FILES = ["tsconfig.json", "tsconfig.node.json", "tsconfig.edge.json", "tsconfig.workerd.json"];
const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;

/** What each part may import at run time; types are freer where `types` says so. */
const LAYERS: Record<string, { readonly values: readonly string[]; readonly types?: readonly string[] }> = {
  core: { values: ["core"] },
  codec: { values: ["codec", "core"] },
  storage: { values: ["storage", "core"] },
  version: { values: [] },
  subprotocol: { values: [] },
  problem: { values: [] },
  "in-time": { values: [] },
  setting: { values: [] },
  auth: { values: ["auth", "setting", "core"] },
  config: { values: ["version", "setting", "core", "codec", "auth"] },
  settings: { values: ["config"] },
  backup: { values: ["backup", "core", "codec"] },
  env: { values: [], types: ["shard", "registry"] },
  "object-place": { values: [], types: ["config"] },
  "shard-address": { values: ["object-place"], types: ["config", "env"] },
  "registry-address": { values: ["object-place", "core"], types: ["config", "env"] },
  "registry-client": { values: ["registry-address", "auth"], types: ["config", "env", "registry"] },
  registry: {
    values: "registry core auth storage config registry-address shard-address in-time".split(" "),
    types: ["env"],
  },
  shard: {
    values:
      "shard core codec storage backup auth config settings registry-client shard-address subprotocol problem in-time".split(
        " ",
      ),
    types: ["env"],
  },
  edge: {
    values:
      "edge core codec backup auth config settings version registry shard-address registry-client subprotocol problem in-time".split(
        " ",
      ),
    types: ["env"],
  },
  worker: { values: ["edge", "shard", "registry"] },
  host: { values: ["host", "worker", "backup", "config", "shard-address"], types: ["env"] },
};

/** Time and chance come into the core with its input, and it never waits. */
const IMPURE_NAMES = new Set(
  "Date setTimeout setInterval setImmediate queueMicrotask crypto console TextEncoder TextDecoder performance fetch"
    .split(" ")
    .concat("Buffer", "process", "globalThis", "Promise"),
);

const FUNCTION_KINDS = new Set([
  SyntaxKind.FunctionDeclaration,
  SyntaxKind.FunctionExpression,
  SyntaxKind.ArrowFunction,
  SyntaxKind.MethodDeclaration,
  SyntaxKind.Constructor,
  SyntaxKind.GetAccessor,
  SyntaxKind.SetAccessor,
]);

type Import = { readonly from: string; readonly to: string; readonly typeOnly: boolean };

let api: API;
const sources = new Map<string, { readonly file: SourceFile; readonly project: Project }>();

beforeAll(() => {
  api = new API({ cwd: ROOT });
  const snapshot = api.updateSnapshot({ openProjects: PROJECT_FILES.map((name) => join(ROOT, name)) });
  for (const project of snapshot.getProjects()) {
    for (const name of project.program.getSourceFileNames()) {
      const path = relative(ROOT, name);
      if (!/^(src|test|bench|scripts)\//.test(path) || path.endsWith(".d.ts") || sources.has(path)) continue;
      const file = project.program.getSourceFile(name);
      if (file !== undefined) sources.set(path, { file, project });
    }
  }
}, 60_000);

afterAll(() => api.close());

describe("the core", () => {
  test("imports only itself", () => {
    const foreign = importsUnder("src/core/").filter(({ to }) => !to.startsWith("src/core/"));
    expect(foreign).toEqual([]);
  });

  test("reads no clock and no chance, and never waits", () => {
    expect(findIn("src/core/", isImpure)).toEqual([]);
  });
});

describe("imports", () => {
  test("follow the layers", () => {
    const wrong = importsUnder("src/").filter((one) => one.to.startsWith("src/") && !followsLayers(one));
    expect(wrong).toEqual([]);
  });

  test("only the codec knows mqtt-packet", () => {
    const foreign = importsUnder("src/").filter(
      ({ from, to }) => to.startsWith("mqtt-packet") && layerOf(from) !== "codec",
    );
    expect(foreign).toEqual([]);
  });

  test("form no cycle", () => {
    expect(cycleIn(importsUnder("src/").filter(({ typeOnly }) => !typeOnly))).toEqual([]);
  });
});

describe("sizes", () => {
  test(`no file in src is longer than ${FILE_LINES_MAX} lines`, () => {
    const long = sourcesUnder("src/")
      .map(([path, { file }]) => `${path}: ${file.text.trimEnd().split("\n").length}`)
      .filter((line) => Number(line.split(": ")[1]) > FILE_LINES_MAX);
    expect(long).toEqual([]);
  });

  test(`no function in src is longer than ${FUNCTION_LINES_MAX} lines`, () => {
    const isLong = (node: Node): boolean =>
      FUNCTION_KINDS.has(node.kind) && lineCount(node) > FUNCTION_LINES_MAX;
    expect(findIn("src/", isLong)).toEqual([]);
  });
});

describe("leftovers", () => {
  // spelled so that this file does not match itself
  const unfinished = /TOD[O]|FIXM[E]|@ts-(?:ignor[e]|nochec[k])/;
  const partialRun = /\b(?:describe|test|it)\.(?:only|skip|todo)\b/;

  test("nothing is left unfinished", () => {
    expect(textFiles().filter((path) => unfinished.test(read(path)))).toEqual([]);
  });

  test("no test is left out", () => {
    const narrowed = sourcesUnder("test/").filter(
      ([path, { file }]) => path !== "test/tidy.test.ts" && partialRun.test(file.text),
    );
    expect(narrowed.map(([path]) => path)).toEqual([]);
  });

  test("no promise is left alone", () => {
    const floating = [...sources].flatMap(([path, { file, project }]) =>
      floatingPromises(path, file, project),
    );
    expect(floating).toEqual([]);
  });

  test("the lock file names no addresses", () => {
    expect(read("package-lock.json")).not.toContain('"resolved":');
  });

  test("the lock file has every package for every platform, or npm ci fails elsewhere", () => {
    type Entry = { readonly optionalDependencies?: Readonly<Record<string, string>> };
    const { packages } = JSON.parse(read("package-lock.json")) as { packages: Record<string, Entry> };
    const installed = Object.keys(packages).map((path) => path.slice(path.lastIndexOf("node_modules/") + 13));
    const wanted = Object.values(packages).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}));
    expect(wanted.filter((name) => !installed.includes(name))).toEqual([]);
  });
});

describe("bundles", () => {
  test("the deployed worker holds nothing of the tests or the launcher", async () => {
    const { inputPaths } = await bundle("src/worker.ts");
    expect(inputPaths.filter((path) => /^(test|bench|src\/host)\//.test(path))).toEqual([]);
  });

  test("the self-hosted worker holds nothing of the tests", async () => {
    const { inputPaths } = await bundle("src/host/worker.ts");
    expect(inputPaths.filter((path) => /^(test|bench)\//.test(path))).toEqual([]);
  });
});

function sourcesUnder(prefix: string) {
  return [...sources].filter(([path]) => path.startsWith(prefix));
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

function textFiles(): string[] {
  const folders = ["src", "test", "bench", "scripts", "docs", ".ci"].filter((name) =>
    existsSync(join(ROOT, name)),
  );
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(ROOT, join(entry.parentPath, entry.name))),
  );
}

function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

/** "path:line: text" of each node under the folder that the predicate picks. */
function findIn(prefix: string, predicate: (node: Node) => boolean): string[] {
  const found: string[] = [];
  for (const [path, { file }] of sourcesUnder(prefix))
    walk(file, (node) => {
      if (predicate(node)) found.push(place(path, file, node));
    });
  return found;
}

function place(path: string, file: SourceFile, node: Node): string {
  const line = file.text.slice(0, node.getStart()).split("\n").length;
  return `${path}:${line}: ${node.getText().split("\n")[0]}`;
}

function lineCount(node: Node): number {
  return node.getText().split("\n").length;
}

function isImpure(node: Node): boolean {
  if (node.kind === SyntaxKind.AsyncKeyword || node.kind === SyntaxKind.AwaitExpression) return true;
  if (isPropertyAccessExpression(node)) return node.getText() === "Math.random";
  return isIdentifier(node) && IMPURE_NAMES.has(node.text) && !namesAProperty(node);
}

function namesAProperty(node: Node): boolean {
  const { parent } = node;
  if (isPropertyAccessExpression(parent)) return parent.name === node;
  return (
    parent.kind === SyntaxKind.PropertySignature ||
    parent.kind === SyntaxKind.PropertyAssignment ||
    parent.kind === SyntaxKind.PropertyDeclaration
  );
}

function importsUnder(prefix: string): Import[] {
  return sourcesUnder(prefix).flatMap(([path, { file }]) => importsOf(path, file));
}

function importsOf(path: string, file: SourceFile): Import[] {
  const imports: Import[] = [];
  walk(file, (node) => {
    const specifier = moduleSpecifier(node);
    if (specifier === undefined || !isStringLiteral(specifier)) return;
    imports.push({ from: path, to: target(path, specifier.text), typeOnly: isTypeOnly(node) });
  });
  return imports;
}

function moduleSpecifier(node: Node): Node | undefined {
  if (isImportDeclaration(node) || isExportDeclaration(node)) return node.moduleSpecifier;
  const isDynamic = isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword;
  return isDynamic ? node.arguments[0] : undefined;
}

function isTypeOnly(node: Node): boolean {
  if (isExportDeclaration(node)) return node.isTypeOnly;
  return isImportDeclaration(node) && node.importClause?.phaseModifier === SyntaxKind.TypeKeyword;
}

function target(from: string, specifier: string): string {
  return specifier.startsWith(".") ? join(dirname(from), specifier) : specifier;
}

function layerOf(path: string): string {
  return path.split("/")[1]?.replace(/\.ts$/, "") ?? "";
}

function followsLayers({ from, to, typeOnly }: Import): boolean {
  const layer = LAYERS[layerOf(from)];
  if (layer === undefined) return false;
  return layer.values.includes(layerOf(to)) || (typeOnly && (layer.types ?? []).includes(layerOf(to)));
}

/** The files of one cycle, or none. */
function cycleIn(imports: readonly Import[]): string[] {
  const targets = Map.groupBy(imports, ({ from }) => from);
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (finished.has(path)) return [];
    for (const { to } of targets.get(path) ?? []) {
      const cycle = visit(to, [...trail, path]);
      if (cycle.length > 0) return cycle;
    }
    finished.add(path);
    return [];
  };
  for (const path of targets.keys()) {
    const cycle = visit(path, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

/** Statements whose value is a promise nobody waits for; `void` or `.catch` says that this is meant. */
function floatingPromises(path: string, file: SourceFile, project: Project): string[] {
  const expressions: Node[] = [];
  walk(file, (node) => {
    if (isExpressionStatement(node) && !isAssignment(node.expression)) expressions.push(node.expression);
  });
  if (expressions.length === 0) return [];
  const types = project.checker.getTypeAtLocation(expressions);
  const isPromise = (index: number): boolean => {
    const type = types[index];
    return type !== undefined && /(^|\| )Promise</.test(project.checker.typeToString(type));
  };
  return expressions
    .filter((expression, index) => isPromise(index) && !handlesRejection(expression))
    .map((expression) => place(path, file, expression));
}

function isAssignment(node: Node): boolean {
  return isBinaryExpression(node) && node.operatorToken.kind === SyntaxKind.EqualsToken;
}

function handlesRejection(node: Node): boolean {
  if (!isCallExpression(node) || !isPropertyAccessExpression(node.expression)) return false;
  const { name, expression } = node.expression;
  if (name.text === "finally") return handlesRejection(expression);
  return name.text === "catch" || (name.text === "then" && node.arguments.length === 2);
}
