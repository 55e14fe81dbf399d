import { LeanClient } from "../load/lean-client.ts";

/** Stored sessions without a connection; connected ones that end with it; connected ones that are stored, too. */
export type Kind = "offline" | "connected" | "connected, persistent";

/** Clients that connect at the same time. */
const connectingMax = 32;

export const subscriptionsPerSession = 3;

/** Topic Filters of the session with that number: no other has them, which is the most that a tree has to hold. */
export function topicFiltersOf(index: number): string[] {
  return [commandTopicOf(index), `device/${index}/settings/+`, `device/${index}/firmware/#`];
}

export function commandTopicOf(index: number): string {
  return `device/${index}/command`;
}

/** Makes that many sessions, numbered from `firstIndex`; returns the clients that are still connected. */
export async function populate(
  url: string,
  kind: Kind,
  count: number,
  firstIndex = 0,
): Promise<LeanClient[]> {
  const clients: LeanClient[] = [];
  let nextIndex = firstIndex;
  const connectInTurn = async (): Promise<void> => {
    while (nextIndex < firstIndex + count) {
      const index = nextIndex;
      nextIndex += 1;
      const client = await LeanClient.connect(url, `client-${index}`, kind === "connected");
      await client.subscribe(topicFiltersOf(index), 1);
      if (kind === "offline") await client.end();
      else clients.push(client);
    }
  };
  await Promise.all(Array.from({ length: connectingMax }, connectInTurn));
  return clients;
}

export function endAll(clients: readonly LeanClient[]): void {
  for (const client of clients) client.destroy();
}
