import { parseArgs } from "node:util";
import { brokerKinds } from "./brokers/all.ts";
import type { BrokerKind } from "./brokers/broker.ts";
import type { Effort } from "./load/measure.ts";
import { scenarios, type ScenarioName } from "./load/scenarios.ts";

export interface Options {
  readonly kinds: readonly BrokerKind[];
  readonly scenarioNames: readonly ScenarioName[];
  readonly roundCount: number;
  readonly effort: Effort;
  readonly asJson: boolean;
}

export const HELP = `Usage: npm run bench -- [flags]

  --quick               a rough run of less than a minute
  --rounds N            rounds to take the median of (5; quick: 1)
  --brokers A,B         of: ${brokerKinds.map(({ name }) => name).join(", ")}
  --scenarios A,B       of: ${Object.keys(scenarios).join(", ")}
  --json                print JSON instead of tables
  --help                print this
`;

const FULL_EFFORT: Effort = {
  warmUpMs: 1000,
  measureMs: 3000,
  latencySampleCount: 5000,
  queueMessageCount: 2000,
  retainedMessageCount: 5000,
  fanOutSubscriberCount: 500,
};
const QUICK_EFFORT: Effort = {
  ...FULL_EFFORT,
  warmUpMs: 200,
  measureMs: 400,
  latencySampleCount: 500,
};

export class UsageError extends Error {}

/** Undefined: help was asked for. Throws a UsageError that names what is wrong. */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { values } = parse(args);
  if (values.help) return undefined;
  return {
    kinds: chosen("broker", values.brokers, brokerKinds, ({ name }) => name),
    scenarioNames: chosen(
      "scenario",
      values.scenarios,
      Object.keys(scenarios) as ScenarioName[],
      (name) => name,
    ),
    roundCount: positiveInteger("--rounds", values.rounds ?? (values.quick ? "1" : "5")),
    effort: values.quick ? QUICK_EFFORT : FULL_EFFORT,
    asJson: values.json ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean" },
        rounds: { type: "string" },
        brokers: { type: "string" },
        scenarios: { type: "string" },
        json: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function chosen<T>(
  what: string,
  names: string | undefined,
  all: readonly T[],
  nameOf: (item: T) => string,
): readonly T[] {
  if (names === undefined) return all;
  return names.split(",").map((name) => {
    const item = all.find((candidate) => nameOf(candidate) === name);
    if (!item) throw new UsageError(`there is no ${what} "${name}"; there are ${all.map(nameOf).join(", ")}`);
    return item;
  });
}

function positiveInteger(flag: string, text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new UsageError(`${flag} needs a positive integer, not "${text}"`);
  return Number(text);
}
