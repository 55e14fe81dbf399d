/** What clients do with a broker, step by step. The runner disturbs each scenario before every one of its steps. */
import { messageScenarios } from "./scenarios-messages.ts";
import { sessionScenarios } from "./scenarios-sessions.ts";
import { willScenarios } from "./scenarios-wills.ts";
import type { Scenario } from "./scenario-runner.ts";

export const scenarios: readonly Scenario[] = [...sessionScenarios, ...messageScenarios, ...willScenarios];
