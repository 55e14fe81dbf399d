/** `npm run bench`: the same load on duramq, Aedes and Mosquitto, and what came out, side by side. */
import { HELP, parseOptions, UsageError, type Options } from "./options.ts";
import { formatReport, summarize } from "./report.ts";
import { runAll } from "./runner.ts";

async function main(): Promise<void> {
  const options = readOptions();
  if (!options) {
    process.stdout.write(HELP);
    return;
  }
  const available = options.kinds.filter((kind) => {
    const reason = kind.unavailableReason();
    if (reason) log(`${kind.name} is left out: ${reason}`);
    return !reason;
  });
  const samples = await runAll({ ...options, kinds: available }, log);
  const report = summarize(
    samples,
    available.map(({ name }) => name),
  );
  process.stdout.write(
    options.asJson ? `${JSON.stringify({ ...report, samples }, null, 2)}\n` : `\n${formatReport(report)}\n`,
  );
  if (samples.some(({ error }) => error !== undefined)) process.exitCode = 1;
}

function readOptions(): Options | undefined {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    log(error.message);
    process.exit(2);
  }
}

/** Progress goes to standard error, so that the report can be redirected. */
function log(line: string): void {
  process.stderr.write(`${line}\n`);
}

// A signal must not leave brokers behind: "exit" handlers end them.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

await main();
