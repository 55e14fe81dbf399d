/** The normative statements of a specification, as the tables beside this file tell them. */
export type Specification = "5.0" | "3.1.1";

export interface Statement {
  /** As a test title cites it, in brackets: `MQTT-3.1.2-1`, `MQTT-3.1.2-1 (3.1.1)`. */
  readonly id: string;
  readonly on: "server" | "client" | "both";
  /** What duramq does about it. */
  readonly what: string;
  /** Why nothing can be tested. */
  readonly doesNotApply?: string;
}

const ROLES: Readonly<Record<string, Statement["on"]>> = { S: "server", C: "client", B: "both" };

/**
 * Reads lines of the form `3.1.2-1 S what duramq does`, where S, C and B say whom the statement binds: the
 * server, the client, both. After `~` stands why the statement does not apply.
 */
export function parseStatements(specification: Specification, text: string): Statement[] {
  return text
    .trim()
    .split("\n")
    .map((line) => parseStatement(specification, line));
}

function parseStatement(specification: Specification, line: string): Statement {
  const [, number, role, rest] = /^([\d.]+-\d+) ([SCB]) (.+)$/.exec(line) ?? [];
  const on = ROLES[role ?? ""];
  if (on === undefined || rest === undefined) throw new Error(`This is no statement: ${line}`);
  const [what = "", doesNotApply] = rest.split(" ~ ");
  const id = specification === "5.0" ? `MQTT-${number}` : `MQTT-${number} (3.1.1)`;
  return { id, on, what, ...(doesNotApply !== undefined && { doesNotApply }) };
}
