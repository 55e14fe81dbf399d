/** The Worker: HTTP and WebSocket entry, and the Durable Object classes behind it. */
import { app } from "./edge/app.ts";

export { Registry } from "./registry/registry.ts";
export { Shard } from "./shard/shard.ts";
export default app;
