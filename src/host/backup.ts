/** `npm run backup`: retained messages and sessions of a running broker to a file, and back. */
import type { ImportResult } from "../backup/import-result.ts";
import { BACKUP_HELP_TEXT, parseBackupCommand } from "./backup-command.ts";
import { exportTo, importFrom } from "./backup-client.ts";
import { LineError } from "../backup/lines.ts";
import { errorMessage, StartError } from "./start-error.ts";

const EXIT_FAILURE = 1;

async function main(): Promise<void> {
  const command = parseBackupCommand(process.argv.slice(2), process.env);
  if (command === "help") {
    process.stdout.write(BACKUP_HELP_TEXT);
    return;
  }
  if (command.action === "export") {
    const records = await exportTo(command);
    process.stdout.write(`exported ${records} records to ${command.path}\n`);
    return;
  }
  const total = { retained: 0, sessions: 0, messages: 0, unchanged: 0, expired: 0, refused: 0 };
  const report = (result: ImportResult): void => {
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += result[name];
    for (const { line, what, reason } of result.refusals) {
      process.stderr.write(`line ${line}: ${what}: ${reason}\n`);
    }
  };
  try {
    await importFrom(command, report);
  } finally {
    process.stdout.write(
      `imported ${total.retained} retained messages, and ${total.sessions} sessions with ${total.messages} messages; ` +
        `${total.unchanged} were there already, ${total.expired} have expired, ${total.refused} were refused\n`,
    );
  }
  if (total.refused > 0) process.exitCode = EXIT_FAILURE;
}

main().catch((error: unknown) => {
  const isExpected = error instanceof StartError || error instanceof LineError;
  process.stderr.write(`duramq: ${isExpected ? "" : "unexpected failure: "}${errorMessage(error)}\n`);
  process.exitCode = EXIT_FAILURE;
});
