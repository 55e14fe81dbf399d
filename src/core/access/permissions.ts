import type { QoS } from "../packet.ts";
import type { Rule } from "./rule.ts";
import type { Subject } from "./template.ts";
import { Template } from "./template.ts";
import type { FilterLevels } from "./topic-filter.ts";
import { covers, filterLevelsOf, matches, overlaps } from "./topic-filter.ts";

interface CompiledRule {
  readonly allows: boolean;
  readonly action: Rule["action"];
  readonly filter: FilterLevels | Template;
  readonly qosMax: QoS;
  readonly isForRetain: boolean;
}

export type CompiledRules = readonly CompiledRule[];

/** What one client may do: the rules that are about it, in order. The first that matches decides. */
export class Permissions {
  readonly #subject: Subject;
  readonly #lists: readonly CompiledRules[];
  readonly #allowsRest: boolean;

  /** `allowsRest`: what no rule speaks of is allowed. */
  constructor(subject: Subject, lists: readonly CompiledRules[], allowsRest: boolean) {
    this.#subject = subject;
    this.#lists = lists;
    this.#allowsRest = allowsRest;
  }

  /** No rule speaks of the client, and it may do what no rule speaks of. */
  get allowsEverything(): boolean {
    return this.#allowsRest && this.#lists.length === 0;
  }

  mayPublish(topicName: string, qos: QoS, retain: boolean): boolean {
    for (const rules of this.#lists) {
      for (const rule of rules) {
        const { action, allows, isForRetain, qosMax } = rule;
        if (action === "subscribe" || qos > qosMax || (retain && !isForRetain)) continue;
        const filter = filterFor(rule, this.#subject);
        if (filter !== undefined && matches(filter, topicName)) return allows;
      }
    }
    return this.#allowsRest;
  }

  /**
   * The QoS that is granted, or undefined for a refusal. A rule that allows only a part of the topics lets none
   * through, but its limit holds; one that denies a part denies the subscription. So no topic comes this way that
   * could not be subscribed to by itself, nor with a higher QoS.
   */
  grantedQos(topicFilter: string, requestedQos: QoS): QoS | undefined {
    const requested = filterLevelsOf(topicFilter);
    let granted = requestedQos;
    for (const rules of this.#lists) {
      for (const rule of rules) {
        const { action, allows, qosMax } = rule;
        if (action === "publish") continue;
        const filter = filterFor(rule, this.#subject);
        if (filter === undefined || !overlaps(filter, requested)) continue;
        if (!allows) return undefined;
        granted = Math.min(granted, qosMax) as QoS;
        if (covers(filter, requested)) return granted;
      }
    }
    return this.#allowsRest ? granted : undefined;
  }
}

/** Makes rules ready for use, once for all clients. */
export class RuleCompiler {
  readonly #compiled = new WeakMap<readonly Rule[], CompiledRules>();
  readonly #denials = new WeakMap<readonly Rule[], CompiledRules>();

  compile(rules: readonly Rule[]): CompiledRules {
    return cached(this.#compiled, rules, () => rules.flatMap((rule) => compileRule(rule) ?? []));
  }

  /** Only those that take something away. */
  compileDenials(rules: readonly Rule[]): CompiledRules {
    return cached(this.#denials, rules, () => this.compile(rules).filter(({ allows }) => !allows));
  }
}

function cached(
  known: WeakMap<readonly Rule[], CompiledRules>,
  rules: readonly Rule[],
  compile: () => CompiledRules,
): CompiledRules {
  const found = known.get(rules);
  if (found !== undefined) return found;
  const compiled = compile();
  known.set(rules, compiled);
  return compiled;
}

function compileRule({ action, effect, qosMax, retain, topicFilter }: Rule): CompiledRule | undefined {
  const filter = Template.read(topicFilter);
  return (
    filter && { allows: effect === "allow", action, filter, qosMax: qosMax ?? 2, isForRetain: retain ?? true }
  );
}

/** What is denied to a client of an odd name, or without a claim, stays denied: for any value. */
function filterFor({ allows, filter }: CompiledRule, subject: Subject): FilterLevels | undefined {
  if (!(filter instanceof Template)) return filter;
  return filter.levelsFor(subject) ?? (allows ? undefined : filter.levelsForAny);
}
