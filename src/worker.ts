/** The Worker: HTTP and WebSocket entry, and the Durable Object class behind it. */
import { app } from "./edge/app.ts";

export { Shard } from "./shard/shard.ts";
export default app;
