import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Access } from "../../../src/core/access/access.ts";
import type { Identity } from "../../../src/core/access/identity.ts";
import { anonymousIdentity } from "../../../src/core/access/identity.ts";
import type { Permissions } from "../../../src/core/access/permissions.ts";
import type { Policy } from "../../../src/core/access/policy.ts";
import { emptyPolicy } from "../../../src/core/access/policy.ts";
import type { Rule } from "../../../src/core/access/rule.ts";
import type { QoS } from "../../../src/core/packet.ts";
import { filterMatches } from "../../support/filter-oracle.ts";
import { allTopics, rule, topicFilter, topicName } from "./arbitraries.ts";

const named: Identity = { method: "password", username: "ann", roles: [], claims: {}, rules: [] };

const qos = fc.constantFrom<QoS>(0, 1, 2);

function allow(filter: string, options: Partial<Rule> = {}): Rule {
  return { effect: "allow", action: "all", topicFilter: filter, ...options };
}

function deny(filter: string, options: Partial<Rule> = {}): Rule {
  return { effect: "deny", action: "all", topicFilter: filter, ...options };
}

function access(policy: Partial<Policy>, permissions: readonly Rule[] = []): Access {
  return new Access(
    { permissions, serverTopicsFor: "operators" },
    { readPolicy: () => ({ ...emptyPolicy, version: 1, ...policy }) },
  );
}

function permissionsFor(rules: readonly Rule[], identity = named, clientId = "one"): Permissions {
  return access({ rules }).permissionsFor(identity, clientId);
}

describe("publishing", () => {
  test("is for nobody whom no rule allows it", () => {
    expect(permissionsFor([]).mayPublish("a", 0, false)).toBe(false);
    expect(permissionsFor([allow("a")]).mayPublish("b", 0, false)).toBe(false);
    expect(permissionsFor([allow("#", { action: "subscribe" })]).mayPublish("a", 0, false)).toBe(false);
  });

  test("goes by the first rule that matches topic, QoS and RETAIN", () => {
    const rules = [
      deny("a/secret"),
      allow("a/#", { qosMax: 1, retain: false }),
      allow("a/+", { retain: true, qosMax: 0 }),
      deny("#"),
      allow("#"),
    ];
    const permissions = permissionsFor(rules);
    expect(permissions.mayPublish("a/secret", 0, false)).toBe(false);
    expect(permissions.mayPublish("a/b", 1, false)).toBe(true);
    expect(permissions.mayPublish("a/b", 2, false)).toBe(false);
    expect(permissions.mayPublish("a/b", 0, true)).toBe(true);
    expect(permissions.mayPublish("a/b", 1, true)).toBe(false);
    expect(permissions.mayPublish("b", 0, false)).toBe(false);
  });

  test("by arbitrary rules is what the first that matches says", () => {
    fc.assert(
      fc.property(fc.array(rule), topicName, qos, fc.boolean(), (rules, topic, level, retain) => {
        const first = rules.find(
          ({ action, topicFilter: filter, qosMax = 2, retain: isForRetain = true }) =>
            action !== "subscribe" &&
            level <= qosMax &&
            (isForRetain || !retain) &&
            filterMatches(filter, topic),
        );
        expect(permissionsFor(rules).mayPublish(topic, level, retain)).toBe(first?.effect === "allow");
      }),
      { numRuns: 2000 },
    );
  });
});

describe("subscribing", () => {
  test("needs a rule that allows all that the filter may match", () => {
    const permissions = permissionsFor([allow("a/+"), allow("b/#")]);
    expect(permissions.grantedQos("a/b", 2)).toBe(2);
    expect(permissions.grantedQos("a/+", 2)).toBe(2);
    expect(permissions.grantedQos("a/#", 2)).toBeUndefined();
    expect(permissions.grantedQos("b", 2)).toBe(2);
    expect(permissions.grantedQos("#", 2)).toBeUndefined();
    expect(permissionsFor([allow("#", { action: "publish" })]).grantedQos("a", 0)).toBeUndefined();
  });

  test("is denied with any part of it", () => {
    const permissions = permissionsFor([deny("a/secret/#"), allow("#")]);
    expect(permissions.grantedQos("a/+", 0)).toBeUndefined();
    expect(permissions.grantedQos("#", 0)).toBeUndefined();
    expect(permissions.grantedQos("a/open", 0)).toBe(0);
    expect(permissions.grantedQos("b/#", 0)).toBe(0);
  });

  test("gets the lowest QoS of the rules that have a say", () => {
    const permissions = permissionsFor([allow("a/b", { qosMax: 0 }), allow("#", { qosMax: 1 })]);
    expect(permissions.grantedQos("c", 2)).toBe(1);
    expect(permissions.grantedQos("c", 0)).toBe(0);
    expect(permissions.grantedQos("a/b", 2)).toBe(0);
    expect(permissions.grantedQos("a/#", 2)).toBe(0);
  });

  const topics = allTopics(4, ["a", "b", "", "$x", "other"]);

  test("brings no topic that could not be subscribed to by itself, nor one with a higher QoS", () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 5 }), topicFilter, qos, (rules, filter, level) => {
        const permissions = permissionsFor(rules);
        const granted = permissions.grantedQos(filter, level);
        if (granted === undefined) return;
        for (const topic of topics) {
          if (!filterMatches(filter, topic)) continue;
          expect([topic, permissions.grantedQos(topic, level)]).not.toEqual([topic, undefined]);
          expect(permissions.grantedQos(topic, level)).toBeGreaterThanOrEqual(granted);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("is refused only if a rule denies something of it, or none allows all of it", () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 4 }), topicFilter, (rules, filter) => {
        const asked = topics.filter((topic) => filterMatches(filter, topic));
        const isGranted = permissionsFor(rules).grantedQos(filter, 0) !== undefined;
        for (const { action, effect, topicFilter: other } of rules) {
          if (action === "publish") continue;
          const matched = asked.filter((topic) => filterMatches(other, topic));
          const decides = effect === "deny" ? matched.length > 0 : matched.length === asked.length;
          if (!decides) continue;
          expect(isGranted).toBe(effect === "allow");
          return;
        }
        expect(isGranted).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("a rule with variables", () => {
  const sensor: Identity = { ...named, claims: { site: "north", bad: "a/b" } };

  test("speaks of the client's own topics", () => {
    const rules = [allow("${username}/x${clientId}y/${claim.site}/#")];
    const permissions = permissionsFor(rules, sensor, "one");
    expect(permissions.mayPublish("ann/xoney/north/a", 0, false)).toBe(true);
    expect(permissions.mayPublish("bob/xoney/north/a", 0, false)).toBe(false);
    expect(permissions.grantedQos("ann/xoney/north/+", 1)).toBe(1);
  });

  const { username: _, ...nameless } = sensor;

  test.each<[string, string, Identity]>([
    ["of which there is no such claim", "${claim.none}", sensor],
    ["of which there is no such variable", "${topic}", sensor],
    ["that the prototype of an object has", "${claim.constructor}", sensor],
    ["without a user name", "${username}", nameless],
    ["with an empty value", "${username}", { ...sensor, username: "" }],
    ["with more than a level", "${claim.bad}", sensor],
    ["with +", "${username}", { ...sensor, username: "+" }],
    ["with #", "a/${username}", { ...sensor, username: "#" }],
    ["with U+0000", "${username}", { ...sensor, username: "a\0" }],
  ])("%s allows nothing, and denies every value", (_title, template, identity) => {
    for (const filter of ["#", "+", "a/b", "a/#", "a"]) {
      expect(permissionsFor([allow(template)], identity).grantedQos(filter, 0)).toBeUndefined();
    }
    const denied = permissionsFor([deny(template), allow("#")], identity);
    expect(denied.mayPublish(template.replace(/\$\{.*\}/, "whatever"), 0, false)).toBe(false);
    expect(denied.grantedQos("#", 0)).toBeUndefined();
    expect(denied.mayPublish("elsewhere/and/deeper", 0, false)).toBe(true);
  });

  test("takes values as they are", () => {
    const tricky: Identity = { ...named, username: "${clientId}" };
    const permissions = permissionsFor([allow("${username}")], tricky, "one");
    expect(permissions.mayPublish("one", 0, false)).toBe(false);
    expect(permissions.mayPublish("${clientId}", 0, false)).toBe(true);
  });

  test("may name a claim with slashes", () => {
    const claims = { "https://example.com/site": "north", bad: "a/b" };
    const template = "${claim.https://example.com/site}/x";
    const allowed = permissionsFor([allow(template)], { ...named, claims });
    expect(allowed.mayPublish("north/x", 0, false)).toBe(true);
    expect(allowed.mayPublish("south/x", 0, false)).toBe(false);
    const denied = permissionsFor([deny(template), allow("#")], named);
    expect(denied.mayPublish("south/x", 0, false)).toBe(false);
    expect(denied.mayPublish("south/y", 0, false)).toBe(true);
  });

  test("is no one's but the client's for whom it was made", () => {
    const shared = access({ rules: [allow("${clientId}/#"), allow("all")] });
    const [one, two] = [shared.permissionsFor(named, "one"), shared.permissionsFor(named, "two")];
    expect([one.mayPublish("one/a", 0, false), two.mayPublish("one/a", 0, false)]).toEqual([true, false]);
    expect([one.mayPublish("all", 0, false), two.mayPublish("all", 0, false)]).toEqual([true, true]);
  });
});

describe("rules", () => {
  const policy: Partial<Policy> = {
    clients: { one: [deny("1"), allow("by-client")] },
    users: { ann: [allow("1"), deny("2")] },
    roles: { first: [allow("3"), deny("4")], second: [allow("4"), deny("5")] },
    rules: [allow("5"), deny("6")],
  };
  const identity: Identity = {
    ...named,
    clientId: "one",
    rules: [allow("2"), deny("3")],
    roles: ["first", "unknown", "second"],
  };

  test("are asked in this order: client, user, credential, roles, everybody, settings", () => {
    const permissions = access(policy, [allow("6"), allow("7")]).permissionsFor(identity, "one");
    const allowed = ["1", "2", "3", "4", "5", "6", "7"].filter((topic) =>
      permissions.mayPublish(topic, 0, false),
    );
    expect(allowed).toEqual(["7"]);
    expect(permissions.mayPublish("by-client", 0, false)).toBe(true);
  });

  test("of a Client Identifier allow nothing to who has chosen it", () => {
    const { clientId: _, ...unbound } = identity;
    const permissions = access({ clients: policy.clients ?? {}, rules: [allow("1"), allow("2")] });
    const found = permissions.permissionsFor(unbound, "one");
    expect(["1", "2", "by-client"].map((topic) => found.mayPublish(topic, 0, false))).toEqual([
      false,
      true,
      false,
    ]);
  });

  test("of others say nothing", () => {
    const permissions = access(policy).permissionsFor({ ...identity, username: "bob", roles: [] }, "two");
    expect(permissions.mayPublish("1", 0, false)).toBe(false);
    expect(permissions.mayPublish("2", 0, false)).toBe(true);
    expect(permissions.mayPublish("by-client", 0, false)).toBe(false);
  });

  test("of names that every object has are nobody's", () => {
    const strange: Identity = { ...named, username: "constructor", roles: ["toString"] };
    expect(access({}).permissionsFor(strange, "__proto__").mayPublish("a", 0, false)).toBe(false);
  });

  test("that are malformed say nothing", () => {
    const permissions = permissionsFor([allow("a/#/b"), allow("a+/#"), allow("")]);
    expect(permissions.mayPublish("a/b", 0, false)).toBe(false);
    expect(permissions.grantedQos("a/b", 0)).toBeUndefined();
  });
});

describe("an anonymous client", () => {
  test("may do everything while nothing is said about it", () => {
    const permissions = access({}).permissionsFor(anonymousIdentity, "one");
    expect(permissions.mayPublish("$x/a", 2, true)).toBe(true);
    expect(permissions.grantedQos("#", 2)).toBe(2);
  });

  test.each<[string, Partial<Policy>, readonly Rule[]]>([
    ["a role of that name", { roles: { anonymous: [allow("open/#")] } }, []],
    ["a role of that name without rules", { roles: { anonymous: [] } }, []],
    ["rules for everybody", { rules: [allow("open/#")] }, []],
    ["rules in the settings", {}, [allow("open/#")]],
  ])("is bound by %s", (_, policy, permissions) => {
    const found = access(policy, permissions).permissionsFor(anonymousIdentity, "one");
    expect(found.mayPublish("closed", 0, false)).toBe(false);
    expect(found.grantedQos("#", 0)).toBeUndefined();
  });

  test("is bound by what is said about its Client Identifier", () => {
    const found = access({ clients: { one: [deny("a")] } }).permissionsFor(anonymousIdentity, "one");
    expect(found.mayPublish("a", 0, false)).toBe(false);
    expect(found.grantedQos("#", 0)).toBeUndefined();
    expect(found.grantedQos("b", 1)).toBe(1);
  });

  test("is the only one to whom that applies", () => {
    expect(access({}).permissionsFor(named, "one").mayPublish("a", 0, false)).toBe(false);
  });
});

describe("rules of a user", () => {
  const notA = deny("a");
  const all = allow("#");

  test("are those of its name, whatever way the policy writes it", () => {
    const subject = access({ users: { "\ufb01nn": [notA, all] } });
    const permissions = subject.permissionsFor({ ...named, username: "finn" }, "c");
    expect([permissions.mayPublish("a", 0, false), permissions.mayPublish("b", 0, false)]).toEqual([
      false,
      true,
    ]);
  });

  test("come first from the name in normal form, if a policy has several ways to write it", () => {
    for (const users of [
      { finn: [notA], "\ufb01nn": [all] },
      { "\ufb01nn": [all], finn: [notA] },
    ]) {
      const permissions = access({ users }).permissionsFor({ ...named, username: "finn" }, "c");
      expect([permissions.mayPublish("a", 0, false), permissions.mayPublish("b", 0, false)]).toEqual([
        false,
        true,
      ]);
    }
  });
});

describe("bans", () => {
  const nowMs = 1000;
  const banning = access({
    bans: [
      { by: "client", value: "one" },
      { by: "username", value: "bob", untilMs: nowMs + 1 },
      { by: "address", value: "2001:db8::1" },
      { by: "username", value: "cid", untilMs: nowMs },
      { by: "client", value: "twice", untilMs: nowMs + 5 },
      { by: "client", value: "twice", untilMs: nowMs - 5 },
      { by: "address", value: "203.0.113.0/24" },
      { by: "address", value: "192.0.2.7" },
      { by: "address", value: "2001:DB8:1::/48" },
      { by: "username", value: "\ufb01nn" },
      // An old policy may have what is refused today.
      { by: "address", value: "somewhere" },
      { by: "username", value: "\u0007" },
    ],
  });

  test.each([
    [{ clientId: "one" }, true],
    [{ clientId: "two" }, false],
    [{ clientId: "bob" }, false],
    [{ clientId: "two", username: "bob" }, true],
    [{ clientId: "two", username: "cid" }, false],
    [{ clientId: "two", username: "one" }, false],
    [{ clientId: "two", address: "2001:db8::1" }, true],
    [{ clientId: "two", address: "2001:db8:0:0:1::2" }, true],
    [{ clientId: "two", address: "2001:db8:0:1::1" }, false],
    [{ clientId: "two", address: "2001:0db8:0001:ffff::1" }, true],
    [{ clientId: "two", address: "203.0.113.200" }, true],
    [{ clientId: "two", address: "203.0.114.1" }, false],
    [{ clientId: "two", address: "::ffff:203.0.113.1" }, true],
    [{ clientId: "two", address: "::ffff:c000:207" }, true],
    [{ clientId: "two", address: "192.0.2.8" }, false],
    [{ clientId: "two", address: "somewhere" }, false],
    [{ clientId: "two", username: "finn" }, true],
    [{ clientId: "two", username: "\u0007" }, false],
    [{ clientId: "twice" }, true],
  ])("%o: %s", (presence, isBanned) => {
    expect(banning.isBanned(presence, nowMs)).toBe(isBanned);
  });

  test("end by their time", () => {
    expect(banning.isBanned({ clientId: "two", username: "bob" }, nowMs + 1)).toBe(false);
  });
});
