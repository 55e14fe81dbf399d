/** `npm run scaling`: what several shards cost, measured with the real core in memory, and computed from that. */
import { parseArgs } from "node:util";
import { pricesOf } from "../pricing/cloudflare.ts";
import { formatMeasured, measureAll } from "./measured.ts";
import { formatProjected, projectAll } from "./projected.ts";
import { assumptions } from "./projection.ts";

const help = `Usage: npm run scaling -- [flags]

  --json    print JSON instead of tables
  --help    print this
`;

function main(): void {
  const { values } = parseArgs({ options: { json: { type: "boolean" }, help: { type: "boolean" } } });
  if (values.help === true) {
    process.stdout.write(help);
    return;
  }
  const measured = measureAll((line) => process.stderr.write(`${line}\n`));
  const projected = projectAll(measured);
  if (values.json === true) {
    const all = { measured, projected, assumptions, pricesOf };
    process.stdout.write(`${JSON.stringify(all, (_, value: unknown) => plain(value), 2)}\n`);
  } else {
    process.stdout.write(`\n${formatMeasured(measured)}\n\n${formatProjected(projected, measured)}\n`);
  }
}

function plain(value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value;
}

main();
