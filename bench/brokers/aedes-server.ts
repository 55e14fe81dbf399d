/** Aedes over WebSocket, set up as its documentation shows. Prints the port it listens on. */
import { Aedes } from "aedes";
import type { AddressInfo } from "node:net";
import { createServer } from "node:http";
import { createWebSocketStream, WebSocketServer } from "ws";

const broker = await Aedes.createBroker();
const server = createServer();
const webSocketServer = new WebSocketServer({
  server,
  perMessageDeflate: false,
  handleProtocols: (protocols) => (protocols.has("mqtt") ? "mqtt" : false),
});
webSocketServer.on("connection", (socket, request) => {
  const stream = createWebSocketStream(socket);
  // A reset connection is the client's affair, not the broker's.
  stream.on("error", () => stream.destroy());
  broker.handle(stream, request);
});
server.listen(0, "127.0.0.1", () => {
  console.log(`aedes ready on port ${(server.address() as AddressInfo).port}`);
});
process.on("SIGTERM", () => process.exit(0));
