import { describe, expect, test } from "vitest";
import { parseCommand } from "../../src/host/config.ts";

const VARIABLES = {
  ANONYMOUS: "true",
  SYS_TOPICS: "everybody",
  SHARDS: "1",
  SOCKETS: "hibernating",
  FLUSHES_PER_SEC_MAX: "unlimited",
};
const DEFAULTS = {
  variables: VARIABLES,
  port: 8787,
  host: "127.0.0.1",
  dataDir: ".duramq",
  shards: 1,
  sockets: "hibernating",
};

function configOf(args: readonly string[], environment: Record<string, string> = {}) {
  const command = parseCommand(args, environment);
  if (command.kind !== "start") return undefined;
  const { namespaces: _, ...config } = command.config;
  return config;
}

function namespacesOf(environment: Record<string, string>) {
  const command = parseCommand([], environment);
  return command.kind === "start" ? command.config.namespaces : [];
}

describe("settings", () => {
  test("have defaults", () => {
    expect(configOf([])).toEqual(DEFAULTS);
  });

  test("come from flags, in both forms", () => {
    const variables = { ...VARIABLES, SHARDS: "4", SOCKETS: "resident" };
    const expected = { port: 1, host: "::1", dataDir: "/d", shards: 4, sockets: "resident", variables };
    const spaced = ["--port", "1", "--host", "::1", "--data", "/d", "--shards", "4", "--sockets", "resident"];
    expect(configOf(spaced)).toEqual(expected);
    expect(configOf(["--port=1", "--host=::1", "--data=/d", "--shards=4", "--sockets=resident"])).toEqual(
      expected,
    );
  });

  test("come from the environment", () => {
    const environment = { PORT: "0", HOST: "localhost", DATA_DIR: "d", SHARDS: "1024", SOCKETS: "resident" };
    expect(configOf([], environment)).toEqual({
      port: 0,
      host: "localhost",
      dataDir: "d",
      shards: 1024,
      sockets: "resident",
      variables: { ...VARIABLES, SHARDS: "1024", SOCKETS: "resident" },
    });
  });

  test("of the broker come from the environment, by the names that a deployment uses", () => {
    const environment = { RECEIVE_MAXIMUM: "7", FLUSHES_PER_SEC_MAX: "5", UNRELATED: "x" };
    expect(configOf([], environment)?.variables).toEqual({
      ...VARIABLES,
      RECEIVE_MAXIMUM: "7",
      FLUSHES_PER_SEC_MAX: "5",
    });
  });

  test.each([
    { OPERATOR_TOKEN: "an operator's token of many characters" },
    { JWT_SECRET: "a secret of more than thirty-two characters" },
    { NAMESPACES: '{"b": {"JWT_SECRET": "a secret of more than thirty-two characters"}}' },
  ])("that know clients let nobody in without credentials: %j", (environment) => {
    expect(configOf([], environment)?.variables).not.toHaveProperty("ANONYMOUS");
  });

  test("that know a proxy need credentials, too", () => {
    const environment = { CLIENT_ADDRESS_HEADER: "x-forwarded-for" };
    expect(() => configOf([], environment)).toThrow("can be reached by others");
    expect(configOf([], { ...environment, ANONYMOUS: "true" })).toBeDefined();
  });

  test("of flags win over the environment, even over a malformed one", () => {
    expect(configOf(["--port=2"], { PORT: "nonsense" })).toEqual({ ...DEFAULTS, port: 2 });
  });

  test("that are empty in the environment count as absent", () => {
    expect(configOf([], { PORT: "", DATA_DIR: "" })).toEqual(DEFAULTS);
  });

  test(":memory: stands for no data directory", () => {
    expect(configOf(["--data=:memory:"])?.dataDir).toBeNull();
  });

  test("--help asks for nothing else", () => {
    expect(parseCommand(["--help", "--port=x"], {})).toEqual({ kind: "help" });
  });
});

describe("namespaces", () => {
  const NAMESPACES = '{"plant-a": {"SHARDS": "4"}}';

  test("are passed on to the Worker as they stand", () => {
    expect(configOf([], { NAMESPACES })?.variables).toEqual({ ...VARIABLES, NAMESPACES });
  });

  test("have the settings that the Worker will find", () => {
    const found = namespacesOf({ NAMESPACES, SHARDS: "2" });
    expect(found.map((config) => [config.namespace, config.core.placement.layout.shards])).toEqual([
      ["default", 2],
      ["plant-a", 4],
    ]);
  });

  test.each([
    [{ JURISDICTION: "eu" }, "JURISDICTION works on Cloudflare only"],
    [
      { NAMESPACES: '{"plant-a": {"JURISDICTION": "eu"}}' },
      "NAMESPACES.plant-a.JURISDICTION works on Cloudflare only",
    ],
    [{ NAMESPACES: "plant-a" }, "NAMESPACES must be a JSON object"],
    [{ NAMESPACES: '{"plant-a": {"SHARDS": "0"}}' }, "NAMESPACES.plant-a.SHARDS must be a whole number"],
  ])("%j stops the start", (environment, message) => {
    expect(() => parseCommand([], environment as Record<string, string>)).toThrow(message);
  });

  test("may have a location hint, which changes nothing here", () => {
    expect(namespacesOf({ LOCATION_HINT: "weur" })[0]?.location).toEqual({ type: "hint", hint: "weur" });
  });
});

describe("anonymous access", () => {
  test.each(["127.0.0.1", "127.8.0.1", "::1", "localhost"])("is open on the loopback address %s", (host) => {
    expect(configOf(["--host", host])?.variables["ANONYMOUS"]).toBe("true");
  });

  test("is refused to the world, unless it is asked for", () => {
    const message =
      '--host (HOST): 0.0.0.0 can be reached by others; set OPERATOR_TOKEN for users, JWT_SECRET or JWT_JWKS_URL for tokens, or HOOK_URL, or ANONYMOUS to "true" to let everybody in';
    expect(() => parseCommand(["--host=0.0.0.0"], {})).toThrow(message);
    expect(configOf(["--host=0.0.0.0"], { ANONYMOUS: "true" })?.variables["ANONYMOUS"]).toBe("true");
  });

  test("stays closed to the world where credentials are verified", () => {
    const secret = "a-secret-of-thirty-two-characters-or-more";
    for (const name of ["OPERATOR_TOKEN", "JWT_SECRET"]) {
      expect(configOf(["--host=0.0.0.0"], { [name]: secret })?.variables["ANONYMOUS"]).toBeUndefined();
    }
  });

  test("can be closed, which closes the broker", () => {
    expect(configOf([], { ANONYMOUS: "false" })?.variables["ANONYMOUS"]).toBe("false");
  });
});

describe("a refusal names the setting", () => {
  test.each([
    [["--port=65536"], {}, '--port: "65536" is not a whole number from 0 to 65535'],
    [["--port=-1"], {}, '--port: "-1" is not a whole number from 0 to 65535'],
    [["--port=1e3"], {}, '--port: "1e3" is not a whole number from 0 to 65535'],
    [[], { PORT: "80 " }, 'PORT: "80 " is not a whole number from 0 to 65535'],
    [["--shards=0"], {}, '--shards: "0" is not a whole number from 1 to 1024'],
    [[], { SHARDS: "1025" }, 'SHARDS: "1025" is not a whole number from 1 to 1024'],
    [["--sockets=plain"], {}, '--sockets: "plain" is not one of hibernating, resident'],
    [[], { RECEIVE_MAXIMUM: "0" }, "RECEIVE_MAXIMUM must be a whole number from 1 to 500"],
    [["--host="], {}, "--host: must not be empty"],
    [["--data="], {}, "--data: must not be empty"],
  ])("%j %j", (args, environment, message) => {
    expect(() => parseCommand(args, environment as Record<string, string>)).toThrow(message);
  });

  test.each([[["--prot=1"]], [["--port"]], [["extra"]], [["-x"]], [["--help=yes"]]])("%j", (args) => {
    const name = args[0]?.split("=")[0] ?? "";
    expect(() => parseCommand(args, {})).toThrow(name);
    expect(() => parseCommand(args, {})).toThrow(/^[^\n]+ \(see --help\)$/);
  });
});
