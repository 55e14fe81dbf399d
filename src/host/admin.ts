/** `npm run admin`: the administration of a broker, from a terminal. */
import { text } from "node:stream/consumers";
import { runAdmin } from "./admin-run.ts";

// Who reads has seen enough, as `head` has.
process.stdout.once("error", () => process.exit(1));

process.exitCode = await runAdmin(process.argv.slice(2), process.env, {
  fetch: (url, options) => fetch(url, options),
  readStdin: () => text(process.stdin),
  print: (output) => void process.stdout.write(output),
  printError: (output) => void process.stderr.write(output),
});
