import { cpus } from "node:os";
import type { Sample } from "./runner.ts";

const BASELINE = "aedes";
/** Above this the figure says more about the load generator than about the broker. */
const LOAD_CPU_SHARE_MAX = 0.9;

export interface Cell {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly loadCpuShare: number;
  readonly failureCount: number;
  /** Above 1 is better than the baseline, for times as for rates; undefined without a baseline. */
  readonly ratioToBaseline?: number;
}
export interface Row {
  readonly scenario: string;
  readonly figure: string;
  readonly cells: Readonly<Record<string, Cell>>;
}
export interface Report {
  readonly machine: string;
  readonly baseline: string;
  readonly brokers: readonly string[];
  readonly rows: readonly Row[];
}

export function summarize(samples: readonly Sample[], brokers: readonly string[]): Report {
  const keys = new Map<string, { scenario: string; figure: string }>();
  for (const { scenario, measurement } of samples) {
    for (const figure of Object.keys(measurement?.figures ?? {})) {
      keys.set(`${scenario}/${figure}`, { scenario, figure });
    }
  }
  const rows = [...keys.values()].map(({ scenario, figure }) => row(samples, brokers, scenario, figure));
  return { machine: describeMachine(), baseline: BASELINE, brokers, rows };
}

function row(samples: readonly Sample[], brokers: readonly string[], scenario: string, figure: string): Row {
  const summaries = new Map<string, Cell>();
  for (const broker of brokers) {
    const cell = summary(
      samples.filter((sample) => sample.broker === broker && sample.scenario === scenario),
      figure,
    );
    if (cell) summaries.set(broker, cell);
  }
  const baseline = summaries.get(BASELINE)?.median;
  const cells = [...summaries].map(([broker, cell]) => [broker, withRatio(cell, baseline, figure)] as const);
  return { scenario, figure, cells: Object.fromEntries(cells) };
}

function summary(samples: readonly Sample[], figure: string): Cell | undefined {
  const measurements = samples.flatMap(({ measurement }) => (measurement ? [measurement] : []));
  const values = measurements.flatMap(({ figures }) => figures[figure] ?? []).toSorted((a, b) => a - b);
  if (values.length === 0) return undefined;
  return {
    median: median(values),
    min: values[0] ?? 0,
    max: values.at(-1) ?? 0,
    loadCpuShare: median(measurements.map(({ loadCpuShare }) => loadCpuShare).toSorted((a, b) => a - b)),
    failureCount: samples.length - measurements.length,
  };
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

function withRatio(cell: Cell, baseline: number | undefined, figure: string): Cell {
  if (baseline === undefined) return cell;
  const isTime = figure.endsWith("µs");
  return { ...cell, ratioToBaseline: isTime ? baseline / cell.median : cell.median / baseline };
}

function describeMachine(): string {
  const list = cpus();
  return `${list.length} × ${list[0]?.model.trim() ?? "unknown CPU"}, Node ${process.versions.node}`;
}

/** Two Markdown tables: figures, then ratios. */
export function formatReport(report: Report): string {
  const figures = table(report, (cell) => {
    const mark = cell.loadCpuShare > LOAD_CPU_SHARE_MAX ? " *" : "";
    const failed = cell.failureCount > 0 ? ` (${cell.failureCount} failed)` : "";
    return `${Math.round(cell.median).toLocaleString("en-US")}${mark}${failed}`;
  });
  const ratios = table(report, (cell) => cell.ratioToBaseline?.toFixed(2) ?? "–");
  return [
    report.machine,
    "",
    "Median of the rounds:",
    "",
    figures,
    "",
    `\\* the load generator used more than ${LOAD_CPU_SHARE_MAX * 100} % of a CPU: the broker may be capable of more`,
    "",
    `Ratio to ${report.baseline}, above 1 is better (for times: the inverse):`,
    "",
    ratios,
  ].join("\n");
}

function table({ brokers, rows }: Report, format: (cell: Cell) => string): string {
  const header = ["scenario", "figure", ...brokers];
  const body = rows.map(({ scenario, figure, cells }) => [
    scenario,
    figure,
    ...brokers.map((broker) => (cells[broker] ? format(cells[broker]) : "–")),
  ]);
  const widths = header.map((name, column) =>
    Math.max(name.length, ...body.map((line) => line[column]?.length ?? 0)),
  );
  const formatLine = (line: readonly string[]): string => {
    const padded = line.map((text, column) =>
      column < 2 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0),
    );
    return `| ${padded.join(" | ")} |`;
  };
  const rule = widths.map((width, column) => (column < 2 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [header, rule, ...body].map(formatLine).join("\n");
}
