/** Looks for a shorter history that breaks the same rule, by leaving out parts of the plan and running it again. */
import type { Plan, Step } from "./plan.ts";
import type { Result } from "./run.ts";

export interface Shrunk {
  readonly plan: Plan;
  readonly result: Result;
}

/** `runsMax` bounds the effort. */
export function shrink(plan: Plan, result: Result, run: (plan: Plan) => Result, runsMax: number): Shrunk {
  let best: Shrunk = { plan, result };
  let runsLeft = runsMax;
  const attempt = (candidate: Plan): boolean => {
    if (runsLeft <= 0) return false;
    runsLeft -= 1;
    const found = run(candidate);
    if (found.violation?.rule !== result.violation?.rule) return false;
    best = { plan: candidate, result: found };
    return true;
  };
  for (let isShorter = true; isShorter;) {
    isShorter = shrinkSteps(() => best.plan, attempt);
    isShorter = shrinkClients(() => best.plan, attempt) || isShorter;
    isShorter = shrinkCounts(() => best.plan, attempt) || isShorter;
  }
  attempt(shortened(best.plan));
  return best;
}

type Attempt = (plan: Plan) => boolean;

/** Leaves out ever smaller parts of the steps. */
function shrinkSteps(current: () => Plan, attempt: Attempt): boolean {
  let isShorter = false;
  for (let size = Math.ceil(current().steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < current().steps.length;) {
      const { steps } = current();
      const left: Step[] = [...steps.slice(0, from), ...steps.slice(from + size)];
      if (attempt({ ...current(), steps: left })) isShorter = true;
      else from += size;
    }
  }
  return isShorter;
}

/** Clients keep their numbers, which steps name. One that is left out never comes. */
function shrinkClients(current: () => Plan, attempt: Attempt): boolean {
  let isShorter = false;
  for (const { index } of current().clients) {
    const plan = current();
    const left = plan.clients.filter((client) => client.index !== index);
    if (left.length === plan.clients.length || left.length === 0) continue;
    const steps = plan.steps.filter((step) => !("client" in step) || step.client !== index);
    if (attempt({ ...plan, clients: left, steps })) isShorter = true;
  }
  for (const { index, wants } of current().clients) {
    for (const wanted of wants) {
      const plan = current();
      const clients = plan.clients.map((client) =>
        client.index === index ? { ...client, wants: client.wants.filter((one) => one !== wanted) } : client,
      );
      if (attempt({ ...plan, clients })) isShorter = true;
    }
  }
  return isShorter;
}

function shrinkCounts(current: () => Plan, attempt: Attempt): boolean {
  let isShorter = false;
  for (let index = 0; index < current().steps.length; index += 1) {
    const plan = current();
    const step = plan.steps[index];
    if (step?.type !== "publish" || step.count === 1) continue;
    const steps = plan.steps.with(index, { ...step, count: 1 });
    if (attempt({ ...plan, steps })) isShorter = true;
  }
  return isShorter;
}

/** Peace begins soon after the last step. */
function shortened(plan: Plan): Plan {
  const lastMs = plan.steps.at(-1)?.atMs ?? 0;
  return { ...plan, endsAtMs: Math.min(plan.endsAtMs, lastMs + 100) };
}
