/** `npm run simulate -- --help` tells what it can do. */
import { simulate } from "./simulate.ts";

process.exitCode = simulate(process.argv.slice(2), (text) => console.log(text));
