import type { Plan } from "./plan.ts";
import { describeStep } from "./plan.ts";
import type { Result } from "./run.ts";

/** A violation, and the shortest history that was found for it. */
export function report(seed: number, plan: Plan, { violation, lines }: Result, linesMax: number): string {
  const { clients, steps, shards, flushesPerSecMax, callMs, socketMs, commitMs } = plan;
  // What comes after peace is the same in all runs.
  const peace = lines.findIndex((line) => line.endsWith(" peace"));
  const history = peace < 0 ? lines : lines.slice(0, peace + linesMax);
  const omitted = Math.max(0, history.length - linesMax);
  const settings = { shards, flushesPerSecMax, callMs, socketMs, commitMs };
  return [
    `seed ${seed} breaks a rule: ${violation?.message}`,
    `settings ${JSON.stringify(settings)}`,
    ...clients.map((client) => `client ${JSON.stringify(client)}`),
    ...steps.map(describeStep),
    ...(omitted > 0 ? [`(${omitted} lines before)`] : []),
    ...history.slice(-linesMax),
    ...(lines.length > history.length ? [`(${lines.length - history.length} lines after)`] : []),
  ].join("\n");
}
