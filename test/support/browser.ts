/** Headless Chromium for tests: Debian's package, driven through playwright-core, which brings no browser itself. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { transform } from "esbuild";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll } from "vitest";
import type { PageMessage, PageOptions, PagePublication } from "./browser-page.ts";
import { DEADLINE_MS, withDeadline } from "./wait.ts";

const CHROMIUM_PATH = "/usr/bin/chromium";
const CHROMIUM_FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const START_MAX_MS = 60_000;

const ROOT = resolve(import.meta.dirname, "../..");
const SCRIPTS = {
  "/paho-mqtt.js": join(ROOT, "node_modules/paho-mqtt/paho-mqtt.js"),
  "/mqtt.js": join(ROOT, "node_modules/mqtt/dist/mqtt.min.js"),
  "/page.js": join(import.meta.dirname, "browser-page.ts"),
} as const;
const PAGE = `<!doctype html>
<meta charset="utf-8" />
<title>MQTT in a browser</title>
<link rel="icon" href="data:," />
${Object.keys(SCRIPTS)
  .map((path) => `<script src="${path}"></script>`)
  .join("\n")}
`;

/**
 * Where the tests that need a browser run: where one is installed, and in CI in any case, so that a missing one
 * fails there instead of going unnoticed. Elsewhere they are reported as skipped.
 */
export const canUseBrowser = existsSync(CHROMIUM_PATH) || Boolean(process.env["CI"]);

export interface TestBrowser {
  /** A page of its own with both client libraries loaded. */
  open(): Promise<TestPage>;
}

/** One browser for all tests of the file; the pages of each test are closed before the next. */
export function useBrowser(): TestBrowser {
  const pages = new Set<Page>();
  let server: Server | undefined;
  let browser: Browser | undefined;
  let context: BrowserContext | undefined;
  beforeAll(async () => {
    if (!existsSync(CHROMIUM_PATH)) {
      throw new Error(`${CHROMIUM_PATH} is missing: these tests need Debian's package chromium`);
    }
    server = await servePages();
    // Its user data directory is a new one, which ends with it.
    browser = await chromium.launch({
      executablePath: CHROMIUM_PATH,
      args: CHROMIUM_FLAGS,
      timeout: START_MAX_MS,
    });
    context = await browser.newContext();
  }, START_MAX_MS);
  afterEach(async () => {
    await Promise.all([...pages].map((page) => page.close()));
    pages.clear();
  });
  afterAll(async () => {
    await browser?.close();
    server?.closeAllConnections();
    server?.close();
  });
  return {
    async open() {
      if (!context || !server) throw new Error("the browser runs only inside tests");
      const page = await context.newPage();
      pages.add(page);
      const { port } = server.address() as AddressInfo;
      const testPage = new TestPage(page, `http://127.0.0.1:${port}/`);
      await testPage.load();
      return testPage;
    },
  };
}

async function servePages(): Promise<Server> {
  const { code } = await transform(await readFile(SCRIPTS["/page.js"], "utf8"), { loader: "ts" });
  const scripts: Record<string, string> = {
    "/paho-mqtt.js": await readFile(SCRIPTS["/paho-mqtt.js"], "utf8"),
    "/mqtt.js": await readFile(SCRIPTS["/mqtt.js"], "utf8"),
    "/page.js": code,
  };
  const server = createServer((request, response) => {
    const script = scripts[request.url ?? ""];
    const type = script === undefined ? "text/html" : "text/javascript";
    response.setHeader("content-type", `${type}; charset=utf-8`);
    response.end(script ?? PAGE);
  });
  server.listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  return server;
}

/** A tab. Reloading and closing it end its connections without DISCONNECT. */
export class TestPage {
  readonly #page: Page;
  readonly #url: string;
  /** What went wrong in the page that no client told of. */
  readonly errors: string[] = [];

  constructor(page: Page, url: string) {
    this.#page = page;
    this.#url = url;
    page.setDefaultTimeout(DEADLINE_MS);
    page.on("pageerror", (error) => this.errors.push(error.message));
  }

  async load(): Promise<void> {
    await this.#page.goto(this.#url);
  }

  async close(): Promise<void> {
    await this.#page.close();
  }

  /** Connects a client of the page. */
  async connect(options: PageOptions): Promise<PageClient> {
    const connecting = this.#page.evaluate((given) => globalThis.mqttPage.connect(given), options);
    const { clientNumber, sessionPresent } = await withDeadline(
      connecting,
      "a client of the page to connect",
    );
    return new PageClient(this.#page, clientNumber, sessionPresent);
  }
}

/** A client that lives in a page. */
export class PageClient {
  readonly #page: Page;
  readonly #number: number;
  /** Undefined where the library does not tell. */
  readonly sessionPresent: boolean | undefined;

  constructor(page: Page, clientNumber: number, sessionPresent: boolean | undefined) {
    this.#page = page;
    this.#number = clientNumber;
    this.sessionPresent = sessionPresent;
  }

  /** The granted QoS. */
  subscribe(topicFilter: string, qos: number): Promise<number> {
    const args = [this.#number, topicFilter, qos] as const;
    const subscribing = this.#page.evaluate((given) => globalThis.mqttPage.subscribe(...given), args);
    return withDeadline(subscribing, `SUBACK for ${topicFilter}`);
  }

  unsubscribe(topicFilter: string): Promise<void> {
    const args = [this.#number, topicFilter] as const;
    const unsubscribing = this.#page.evaluate((given) => globalThis.mqttPage.unsubscribe(...given), args);
    return withDeadline(unsubscribing, `UNSUBACK for ${topicFilter}`);
  }

  /** Resolves when the broker has taken the message (QoS 0: when it has been sent). */
  publish(publication: PagePublication): Promise<void> {
    const args = [this.#number, publication] as const;
    const publishing = this.#page.evaluate((given) => globalThis.mqttPage.publish(...given), args);
    return withDeadline(publishing, `the broker to take ${publication.topic}`);
  }

  nextMessage(): Promise<PageMessage> {
    const message = this.#page.evaluate((given) => globalThis.mqttPage.nextMessage(given), this.#number);
    return withDeadline(message, "a message in the page");
  }

  async nextPayloads(count: number): Promise<string[]> {
    const payloads: string[] = [];
    while (payloads.length < count) payloads.push((await this.nextMessage()).payload);
    return payloads;
  }

  /** DISCONNECT, and wait for the connection to end. */
  disconnect(): Promise<void> {
    const ending = this.#page.evaluate((given) => globalThis.mqttPage.disconnect(given), this.#number);
    return withDeadline(ending, "a client of the page to disconnect");
  }
}
