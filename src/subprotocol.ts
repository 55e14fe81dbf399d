/** WebSocket subprotocols of MQTT, the better first: `mqtt` ([MQTT-6.0.0-4]), and `mqttv3.1` of older clients. */
const supported = ["mqtt", "mqttv3.1"] as const;

/** The subprotocol to speak, of those that the client offers; undefined when it is none. */
export function chooseSubprotocol(offered: string | null | undefined): string | undefined {
  const names = (offered ?? "").split(",").map((name) => name.trim().toLowerCase());
  return supported.find((name) => names.includes(name));
}
