import { expect, test } from "vitest";
import { SimulatedClient } from "../simulated-client.ts";
import { Network } from "./network.ts";

test("A batch of a shard's new life is not taken for one of its old life", () => {
  const network = new Network();
  const clientId = network.clientOn(1);
  const atMs = network.nowMs;
  SimulatedClient.connected(network, { clientId }).subscribe(network.topicOn(2, "old"), 1);
  network.resetShard(1);
  network.nowMs = atMs;
  const topicName = network.topicOn(2, "new");
  SimulatedClient.connected(network, { clientId }).subscribe(topicName, 1);
  expect(network.at(2).core.routes()).toContainEqual({ filter: topicName, shard: 1 });
});
