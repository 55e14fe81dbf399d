import { afterAll, afterEach, beforeAll } from "vitest";
import { closeAllClients } from "./clients.ts";
import { startSystemBroker, type StartOptions, type SystemBroker } from "./system-broker.ts";

/** One broker for all tests of the file; the clients of each test are gone before the next. */
export function useBroker(options: StartOptions = {}): { readonly url: string; readonly port: number } {
  let broker: SystemBroker | undefined;
  beforeAll(async () => {
    broker = await startSystemBroker(options);
  });
  afterEach(closeAllClients);
  afterAll(async () => {
    await broker?.stop();
  });
  const running = (): SystemBroker => {
    if (!broker) throw new Error("the broker runs only inside tests");
    return broker;
  };
  return {
    get url() {
      return running().url;
    },
    get port() {
      return running().port;
    },
  };
}
