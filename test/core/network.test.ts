import { BlockList, isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Bans } from "../../src/core/access/bans.ts";
import { normalBan } from "../../src/core/access/normal-form.ts";
import { formatNetwork, parseAddress, parseNetwork } from "../../src/core/network.ts";

const nowMs = 1_800_000_000_000;

/** An address, and another one that has at least so many leading bits in common with it. */
const neighbours = fc
  .record({
    version: fc.constantFrom(4 as const, 6 as const),
    bits: fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 }),
    common: fc.nat(128),
    prefixLength: fc.nat(128),
  })
  .map(({ version, bits, common, prefixLength }) => {
    const groups = version === 4 ? bits.slice(0, 2) : bits;
    const size = version === 4 ? 32 : 128;
    const flipped = groups.map((group, index) => {
      const at = (common % size) - 16 * index;
      return at < 0 || at > 15 ? group : group ^ (0x8000 >> at);
    });
    const write = version === 4 ? dotted : (some: number[]) => some.map((one) => one.toString(16)).join(":");
    return {
      version,
      size,
      one: write(groups),
      other: write(flipped),
      prefixLength: prefixLength % (size + 1),
    };
  });

function dotted(groups: readonly number[]): string {
  return groups.flatMap((group) => [group >> 8, group & 0xff]).join(".");
}

describe("an address", () => {
  test.each([
    ["203.0.113.7", "203.0.113.7"],
    ["::ffff:203.0.113.7", "203.0.113.7"],
    ["::FFFF:cb00:7107", "203.0.113.7"],
    ["0:0:0:0:0:ffff:203.0.113.7", "203.0.113.7"],
    ["2001:DB8::0:1", "2001:db8::1/128"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1/128"],
    ["64:ff9b::203.0.113.7", "64:ff9b::cb00:7107/128"],
    ["::", "::/128"],
    ["1::", "1::/128"],
    ["0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7/128"],
  ])("%s is written as %s, whatever way it came", (text, expected) => {
    const address = parseAddress(text);
    expect(address && formatNetwork(address)).toBe(expected);
  });

  test.each([
    "",
    "nowhere",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4 ",
    "1.2.3.4/32",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "g::",
    "::1.2.3",
    "::1.2.3.4.5",
    "fe80::1%eth0",
    "[::1]",
  ])("is not %j", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  test("is what Node takes for one, too", () => {
    const text = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.string({ unit: fc.constantFrom(..."01f.:"), maxLength: 20 }),
    );
    fc.assert(
      fc.property(text, (address) => {
        expect([address, parseAddress(address) !== undefined]).toEqual([address, isIP(address) !== 0]);
      }),
    );
  });

  test("is the same in every notation", () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const { hostname } = new URL(`http://[${text}]/`);
        expect(parseAddress(hostname.slice(1, -1))).toEqual(parseAddress(text));
      }),
    );
  });
});

describe("a network", () => {
  test.each([
    ["203.0.113.0/24", "203.0.113.0/24"],
    ["203.0.113.77/24", "203.0.113.0/24"],
    ["203.0.113.7/32", "203.0.113.7"],
    ["203.0.113.7", "203.0.113.7"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:db8::/48", "2001:db8::/48"],
    ["2001:db8:0:0:1::1", "2001:db8::/64"],
    ["2001:db8::1/128", "2001:db8::1/128"],
    ["::ffff:203.0.113.0/120", "203.0.113.0/24"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["::ffff:0:0/95", "::fffe:0:0/95"],
  ])("%s is %s", (text, expected) => {
    const network = parseNetwork(text);
    expect(network && formatNetwork(network)).toBe(expected);
  });

  test.each([
    "203.0.113.0/33",
    "2001:db8::/129",
    "203.0.113.0/",
    "203.0.113.0/024",
    "203.0.113.0/-1",
    "/24",
    "a/8",
  ])("is not %j", (text) => {
    expect(parseNetwork(text)).toBeUndefined();
  });

  test("that is banned keeps out the addresses that Node finds in it, and no others", () => {
    fc.assert(
      fc.property(neighbours, ({ version, one, other, prefixLength }) => {
        const blocked = new BlockList();
        blocked.addSubnet(one, prefixLength, `ipv${version}`);
        const written = [
          { by: "address", value: `${one}/${prefixLength}` },
          // Those of other sizes are in nobody's way.
          { by: "address", value: "198.51.100.0/31", untilMs: nowMs },
          { by: "address", value: "2001:db8:ffff::/127", untilMs: nowMs },
        ] as const;
        const bans = new Bans(written.flatMap((ban) => normalBan(ban) ?? []));
        for (const address of [one, other]) {
          expect(bans.has({ clientId: "c", address }, nowMs)).toBe(blocked.check(address, `ipv${version}`));
        }
      }),
      { numRuns: 500 },
    );
  });
});
