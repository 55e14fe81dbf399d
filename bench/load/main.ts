/** The load generator's process: runs one scenario against one broker and tells its parent what it measured. */
import type { Effort, Measurement } from "./measure.ts";
import { scenarios, type ScenarioName } from "./scenarios.ts";

export interface LoadOrder {
  readonly scenario: ScenarioName;
  readonly url: string;
  readonly effort: Effort;
}

process.once("message", (order: LoadOrder) => {
  void run(order);
});

async function run({ scenario, url, effort }: LoadOrder): Promise<void> {
  const measurement: Measurement = await scenarios[scenario](url, effort);
  process.send?.(measurement, () => process.exit(0));
}
