import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { configDefaults, defineConfig } from "vitest/config";
import { COMPATIBILITY_DATE, COMPATIBILITY_FLAGS } from "./src/host/workerd-config.ts";

/** Plain Node: the core, the codec, storage over node:sqlite, the launcher's parts, the structure rules. */
const node = {
  test: {
    name: "node",
    include: ["test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, "test/workerd/**", "test/system/**"],
    // a deadline, not an expectation: a busy machine is slower
    testTimeout: 30_000,
    sequence: { groupOrder: 0 },
  },
};

/** The protocol's tests once more in a namespace of four shards: no client can tell the difference. */
const shards = {
  test: {
    name: "shards",
    include: ["test/core/*.test.ts", "test/conformance/*.test.ts"],
    env: { SHARDS: "4" },
    testTimeout: 60_000,
    sequence: { groupOrder: 1 },
  },
};

/** Inside workerd, with eviction and alarms under the test's control. */
const workerd = {
  plugins: [
    cloudflareTest({
      main: "./test/workerd/worker.ts",
      miniflare: {
        compatibilityDate: COMPATIBILITY_DATE,
        compatibilityFlags: [...COMPATIBILITY_FLAGS],
        bindings: {
          ANONYMOUS: "true",
          NAMESPACES: '{"tenant": {}}',
          SYS_TOPICS: "everybody",
          SHARDS: "1",
          SOCKETS: "hibernating",
          FLUSHES_PER_SEC_MAX: "20",
        },
        durableObjects: {
          SHARD: { className: "TestShard", useSQLite: true },
          REGISTRY: { className: "TestRegistry", useSQLite: true },
        },
      },
    }),
  ],
  test: {
    name: "workerd",
    include: ["test/workerd/**/*.test.ts"],
    testTimeout: 30_000,
    // unbundled, readable-stream (under mqtt-packet) fails at import there
    deps: { optimizer: { ssr: { enabled: true, include: ["mqtt-packet"] } } },
    sequence: { groupOrder: 2 },
  },
};

/** The broker as a user starts it: processes, sockets and disks, so one file at a time. */
const system = {
  test: {
    name: "system",
    include: ["test/system/**/*.test.ts"],
    globalSetup: "./test/system/global-setup.ts",
    fileParallelism: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    sequence: { groupOrder: 3 },
  },
};

export default defineConfig({ test: { passWithNoTests: true, projects: [node, shards, workerd, system] } });
