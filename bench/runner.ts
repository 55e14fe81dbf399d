import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { BrokerKind, RunningBroker } from "./brokers/broker.ts";
import type { LoadOrder } from "./load/main.ts";
import type { Measurement } from "./load/measure.ts";
import type { ScenarioName } from "./load/scenarios.ts";
import type { Options } from "./options.ts";

const LOAD_TIMEOUT_MS = 120_000;
const loadPath = fileURLToPath(new URL("./load/main.ts", import.meta.url));
/** Only what is stored makes a difference to these. */
const DISK_SCENARIOS: readonly ScenarioName[] = ["queue", "retained"];

export interface Sample {
  readonly broker: string;
  readonly scenario: ScenarioName;
  /** Undefined when the run failed; `error` says how. */
  readonly measurement?: Measurement;
  readonly error?: string;
}

/** Every round starts all brokers afresh and puts each scenario to one after the other. */
export async function runAll(options: Options, progress: (line: string) => void): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 0; round < options.roundCount; round += 1) {
    const brokers = await startAll(rotate(options.kinds, round));
    try {
      for (const scenario of options.scenarioNames) {
        for (const broker of brokers.filter(({ name }) => applies(scenario, name))) {
          const sample = await runOne(broker, scenario, options);
          samples.push(sample);
          progress(
            `round ${round + 1}/${options.roundCount}  ${scenario}  ${broker.name}  ${describe(sample)}`,
          );
        }
      }
    } finally {
      await Promise.all(brokers.map((broker) => broker.stop()));
    }
  }
  return samples;
}

function applies(scenario: ScenarioName, brokerName: string): boolean {
  return !brokerName.endsWith("-disk") || DISK_SCENARIOS.includes(scenario);
}

/** Another broker goes first in each round, so that none always profits from its place. */
function rotate<T>(items: readonly T[], by: number): readonly T[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

async function startAll(kinds: readonly BrokerKind[]): Promise<RunningBroker[]> {
  const brokers: RunningBroker[] = [];
  for (const kind of kinds) brokers.push(await kind.start());
  return brokers;
}

async function runOne(broker: RunningBroker, scenario: ScenarioName, options: Options): Promise<Sample> {
  const order: LoadOrder = { scenario, url: broker.url, effort: options.effort };
  try {
    return { broker: broker.name, scenario, measurement: await generateLoad(order) };
  } catch (error) {
    return { broker: broker.name, scenario, error: (error as Error).message };
  }
}

/** In a process of its own: the next scenario finds no garbage of the last. */
function generateLoad(order: LoadOrder): Promise<Measurement> {
  const child = fork(loadPath, { stdio: ["ignore", "ignore", "pipe", "ipc"] });
  let errorOutput = "";
  child.stderr?.on("data", (chunk: Buffer) => (errorOutput += chunk.toString()));
  child.send(order);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`no result after ${LOAD_TIMEOUT_MS} ms`));
    }, LOAD_TIMEOUT_MS);
    child.once("message", (measurement: Measurement) => resolve(measurement));
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`the load generator ended with code ${code}: ${firstErrorLine(errorOutput)}`));
    });
  });
}

function firstErrorLine(output: string): string {
  return output.split("\n").find((line) => /Error/.test(line)) ?? "it said nothing";
}

function describe({ measurement, error }: Sample): string {
  if (!measurement) return `failed: ${error}`;
  const figures = Object.entries(measurement.figures).map(([name, value]) => `${Math.round(value)} ${name}`);
  return `${figures.join(", ")}  (load generator: ${Math.round(measurement.loadCpuShare * 100)}% CPU)`;
}
