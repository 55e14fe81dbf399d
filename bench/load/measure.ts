import { performance } from "node:perf_hooks";

/** How long and how much; the two presets are in options.ts. */
export interface Effort {
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly latencySampleCount: number;
  readonly queueMessageCount: number;
  readonly retainedMessageCount: number;
  readonly fanOutSubscriberCount: number;
}

/** What one run of a scenario found. Figures are per second, or microseconds if the scenario says so. */
export interface Measurement {
  readonly figures: Readonly<Record<string, number>>;
  /** CPU of the load generator per elapsed time: near 1 it would be the bottleneck itself. */
  readonly loadCpuShare: number;
}

export interface Timing {
  readonly elapsedSec: number;
  readonly cpuShare: number;
}

export async function timed<T>(work: () => Promise<T>): Promise<Timing & { readonly result: T }> {
  const startCpu = process.cpuUsage();
  const startMs = performance.now();
  const result = await work();
  const elapsedMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(startCpu);
  return { result, elapsedSec: elapsedMs / 1000, cpuShare: (user + system) / 1000 / elapsedMs };
}

/** Counts what `counter` counts for `measureMs`, after `warmUpMs` of the same load. */
export async function rate(counter: () => number, { warmUpMs, measureMs }: Effort): Promise<Measurement> {
  await delay(warmUpMs);
  const before = counter();
  const { elapsedSec, cpuShare } = await timed(() => delay(measureMs));
  return { figures: { "per second": (counter() - before) / elapsedSec }, loadCpuShare: cpuShare };
}

function delay(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

/** Resolves when `tick` has been called `count` times. */
export function countdown(count: number): { tick: () => void; done: Promise<void> } {
  let remaining = count;
  let finish: () => void = () => undefined;
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const tick = (): void => {
    remaining -= 1;
    if (remaining === 0) finish();
  };
  return { tick, done };
}
