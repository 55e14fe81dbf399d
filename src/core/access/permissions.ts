import type { QoS } from "../packet.ts";
import { isFilterWellFormed } from "../topic.ts";
import type { Rule } from "./rule.ts";
import type { Subject } from "./template.ts";
import { expandTemplate, isTemplate, withAnyValues } from "./template.ts";
import type { FilterLevels } from "./topic-filter.ts";
import { covers, filterLevelsOf, matches, overlaps } from "./topic-filter.ts";

interface CompiledRule {
  readonly allows: boolean;
  readonly action: Rule["action"];
  readonly filter: FilterLevels;
  readonly qosMax: QoS;
  readonly isForRetain: boolean;
}

type CompiledRules = readonly CompiledRule[];

/** What one client may do: the rules that are about it, in order. The first that matches decides. */
export class Permissions {
  readonly #lists: readonly CompiledRules[];
  readonly #allowsRest: boolean;

  /** `allowsRest`: what no rule speaks of is allowed. */
  constructor(lists: readonly CompiledRules[], allowsRest: boolean) {
    this.#lists = lists;
    this.#allowsRest = allowsRest;
  }

  mayPublish(topicName: string, qos: QoS, retain: boolean): boolean {
    for (const rules of this.#lists) {
      for (const { action, allows, filter, isForRetain, qosMax } of rules) {
        if (action === "subscribe" || qos > qosMax || (retain && !isForRetain)) continue;
        if (matches(filter, topicName)) return allows;
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
      for (const { action, allows, filter, qosMax } of rules) {
        if (action === "publish" || !overlaps(filter, requested)) continue;
        if (!allows) return undefined;
        granted = Math.min(granted, qosMax) as QoS;
        if (covers(filter, requested)) return granted;
      }
    }
    return this.#allowsRest ? granted : undefined;
  }
}

/** Makes rules ready for use. Those without variables are made once for all clients. */
export class RuleCompiler {
  readonly #shared = new WeakMap<readonly Rule[], CompiledRules>();
  readonly #fixed = new WeakMap<Rule, CompiledRule>();

  compile(rules: readonly Rule[], subject: Subject): CompiledRules {
    const known = this.#shared.get(rules);
    if (known !== undefined) return known;
    const compiled = rules.flatMap((rule) => this.#compileRule(rule, subject) ?? []);
    if (!rules.some(({ topicFilter }) => isTemplate(topicFilter))) this.#shared.set(rules, compiled);
    return compiled;
  }

  #compileRule(rule: Rule, subject: Subject): CompiledRule | undefined {
    const known = this.#fixed.get(rule);
    if (known !== undefined) return known;
    // What is denied to a client of an odd name, or without a claim, stays denied: for any value.
    const topicFilter =
      expandTemplate(rule.topicFilter, subject) ??
      (rule.effect === "deny" ? withAnyValues(rule.topicFilter) : undefined);
    if (topicFilter === undefined || !isFilterWellFormed(topicFilter)) return undefined;
    const compiled: CompiledRule = {
      allows: rule.effect === "allow",
      action: rule.action,
      filter: filterLevelsOf(topicFilter),
      qosMax: rule.qosMax ?? 2,
      isForRetain: rule.retain ?? true,
    };
    if (!isTemplate(rule.topicFilter)) this.#fixed.set(rule, compiled);
    return compiled;
  }
}
