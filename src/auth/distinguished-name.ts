/** Distinguished names as texts (RFC 2253). */
import { fromUtf8, utf8 } from "./bytes.ts";

const nameLengthMax = 4096;

/** A character, or an escaped one, which stands for itself and separates nothing. */
interface Token {
  readonly bytes: Uint8Array;
  readonly separates: string;
}

/**
 * The values of an attribute type, such as "CN", in their order. Undefined for a text that is no distinguished name, and
 * where such a value is given as bytes (`#…`). Stricter than the RFC asks: what it only takes from older writers, quotes
 * and semicolons, makes no name.
 */
export function attributeValues(name: string, attributeType: string): string[] | undefined {
  const tokens = name.length > nameLengthMax ? undefined : tokensOf(name);
  if (tokens === undefined) return undefined;
  const values: string[] = [];
  for (const part of split(tokens)) {
    const typeEnd = part.findIndex(({ separates }) => separates === "=");
    const type = textOf(part.slice(0, Math.max(typeEnd, 0)))?.trim();
    if (type === undefined || !/^(?:[a-z][a-z0-9-]*|\d+(?:\.\d+)*)$/i.test(type)) return undefined;
    if (type.toUpperCase() !== attributeType) continue;
    const value = valueOf(part.slice(typeEnd + 1));
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
}

function tokensOf(name: string): Token[] | undefined {
  const tokens: Token[] = [];
  for (const [text, hex, escaped] of name.matchAll(/\\([0-9a-f]{2})|\\(.)|./gisu)) {
    if (hex !== undefined) tokens.push({ bytes: Uint8Array.of(Number.parseInt(hex, 16)), separates: "" });
    else if (escaped !== undefined) tokens.push({ bytes: utf8(escaped), separates: "" });
    else if (/["\\;]/.test(text)) return undefined;
    else tokens.push({ bytes: utf8(text), separates: text });
  }
  return tokens;
}

/** "," is between the parts of a name, "+" between those of one part. */
function split(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [[]];
  for (const token of tokens) {
    if (token.separates === "," || token.separates === "+") parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return parts;
}

/** Spaces around a value do not belong to it, but for escaped ones. */
function valueOf(tokens: readonly Token[]): string | undefined {
  const begin = tokens.findIndex(({ separates }) => separates !== " ");
  const end = tokens.findLastIndex(({ separates }) => separates !== " ");
  if (begin === -1) return "";
  return tokens[begin]?.separates === "#" ? undefined : textOf(tokens.slice(begin, end + 1));
}

function textOf(tokens: readonly Token[]): string | undefined {
  return fromUtf8(Uint8Array.from(tokens.flatMap(({ bytes }) => [...bytes])));
}
