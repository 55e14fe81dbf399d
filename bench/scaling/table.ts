export type Cell = string | number;

/** A Markdown table; the first `textColumns` are text, the others figures. */
export function table(
  header: readonly string[],
  body: readonly (readonly Cell[])[],
  textColumns = 1,
): string {
  const texts = [header, ...body.map((line) => line.map(String))];
  const widths = header.map((_, column) => Math.max(3, ...texts.map((line) => line[column]?.length ?? 0)));
  const format = (line: readonly string[]): string => {
    const cells = line.map((text, column) => {
      const width = widths[column] ?? 0;
      return column < textColumns ? text.padEnd(width) : text.padStart(width);
    });
    return `| ${cells.join(" | ")} |`;
  };
  const rule = widths.map((width, column) =>
    column < textColumns ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [texts[0] ?? [], rule, ...texts.slice(1)].map(format).join("\n");
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export function dollars(value: number): string {
  return `$${whole(value)}`;
}

/** Two or three digits that matter. */
export function short(value: number): string {
  if (value === 0) return "0";
  if (value >= 100) return whole(value);
  return value.toFixed(value >= 10 ? 1 : value >= 0.095 ? 2 : 3);
}

export function percent(share: number): string {
  return `${whole(100 * share)} %`;
}
