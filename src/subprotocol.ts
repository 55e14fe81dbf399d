/** WebSocket subprotocols of MQTT: `mqtt` by the specification (section 6), `mqttv3.1` by older clients. */
const supported: readonly string[] = ["mqtt", "mqttv3.1"];

/** The first offered subprotocol that the broker speaks, or undefined. */
export function chooseSubprotocol(offered: string | null | undefined): string | undefined {
  return offered
    ?.split(",")
    .map((name) => name.trim())
    .find((name) => supported.includes(name.toLowerCase()));
}
