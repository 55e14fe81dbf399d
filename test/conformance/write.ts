/** `node test/conformance/write.ts` writes docs/conformance.md anew. */
import { writeFileSync } from "node:fs";
import { conformanceTable, TABLE_PATH } from "./table.ts";
import { citingTests } from "./titles.ts";

writeFileSync(TABLE_PATH, conformanceTable(citingTests()));
