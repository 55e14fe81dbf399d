import { afterAll, afterEach, beforeAll } from "vitest";
import { closeAllClients } from "../support/clients.ts";
import { type Broker, type BrokerOptions, startBroker } from "./broker.ts";

const SETUP_MAX_MS = 60_000;

/** A broker with these options for all tests of a file. */
export function useBrokerWith(options: BrokerOptions): { readonly running: Broker } {
  let broker: Broker | undefined;
  beforeAll(async () => {
    broker = await startBroker(options);
  }, SETUP_MAX_MS);
  afterEach(closeAllClients);
  afterAll(async () => {
    await broker?.kill();
  });
  return {
    get running() {
      if (broker === undefined) throw new Error("the broker runs only inside tests");
      return broker;
    },
  };
}

/** The broker's address, naming the client ahead of its CONNECT. */
export function hinted(url: string, clientId: string): string {
  return `${url}?clientId=${encodeURIComponent(clientId)}`;
}
