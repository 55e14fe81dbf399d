import { aedes } from "./aedes.ts";
import type { BrokerKind } from "./broker.ts";
import { duramq } from "./duramq.ts";
import { mosquitto } from "./mosquitto.ts";

/** In the order of the table. All keep their data in memory, but for the two that say "disk". */
export const brokerKinds: readonly BrokerKind[] = [
  duramq("hibernating", "memory"),
  duramq("resident", "memory"),
  duramq("hibernating", "disk"),
  duramq("resident", "disk"),
  aedes,
  mosquitto,
];
