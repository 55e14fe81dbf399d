import type { Plan } from "./plan.ts";
import { describeStep } from "./plan.ts";
import type { Result } from "./run.ts";

/** Lines at the very end that are always shown. */
const lastLines = 10;

/** A violation, and the shortest history that was found for it. */
export function report(seed: number, plan: Plan, { violation, lines }: Result, linesMax: number): string {
  const { clients, steps, shards, flushesPerSecMax, logSparseBytesMax, callMs, socketMs, commitMs } = plan;
  const settings = {
    shards,
    flushesPerSecMax: String(flushesPerSecMax),
    logSparseBytesMax,
    callMs,
    socketMs,
    commitMs,
  };
  return [
    `seed ${seed} breaks a rule: ${violation?.message}`,
    `settings ${JSON.stringify(settings)}`,
    ...clients.map((client) => `client ${JSON.stringify(client)}`),
    ...steps.map(describeStep),
    ...excerpt(lines, violation?.message ?? "", linesMax),
  ].join("\n");
}

/** All that happened before peace, and after it, where all runs look alike, what the violation names. */
function excerpt(lines: readonly string[], message: string, linesMax: number): string[] {
  const peace = lines.findIndex((line) => line.endsWith(" peace"));
  const before = peace < 0 ? lines : lines.slice(0, peace + 1);
  const after = peace < 0 ? [] : lines.slice(peace + 1);
  const names = new Set(message.match(/\bm\d+\b/g));
  const named = after.filter(
    (line, index) =>
      index >= after.length - lastLines || line.match(/\bm\d+\b/g)?.some((id) => names.has(id)),
  );
  const omitted = Math.max(0, before.length - linesMax);
  return [
    ...(omitted > 0 ? [`(${omitted} lines before)`] : []),
    ...before.slice(omitted),
    ...named,
    ...(named.length < after.length ? [`(${after.length - named.length} lines between left out)`] : []),
  ];
}
