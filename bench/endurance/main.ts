/** `npm run endure -- --minutes 2 --shards 4`: kill -9 of the broker every few seconds under load, and nothing is lost. */
import { parseArgs } from "node:util";
import { summarize } from "./record.ts";
import { run } from "./run.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    shards: { type: "string", default: process.env["BROKER_SHARDS"] ?? "1" },
    publishers: { type: "string", default: "8" },
    /** How long the broker lives, at least. */
    "life-ms": { type: "string", default: "3000" },
  },
});

// A signal must not leave a broker behind: "exit" handlers end it.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const { violations, ...figures } = summarize(
  await run({
    shards: Number(values.shards),
    publishers: Number(values.publishers),
    lifeMs: Number(values["life-ms"]),
    acksPerLife: 1,
    durationMs: Number(values.minutes) * 60_000,
    killsMin: 1,
    log: (line) => process.stderr.write(`${line}\n`),
  }),
);
for (const [name, count] of Object.entries(figures)) console.log(`${name.padEnd(15)} ${count}`);
for (const violation of violations) console.log(`VIOLATION ${violation}`);
process.exitCode = violations.length > 0 ? 1 : 0;
