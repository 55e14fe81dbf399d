/** The codec beside mqtt-packet, in one process: `node bench/codec.ts`. What matters is the ratio. */
import mqttPacket from "mqtt-packet";
import { PacketDecoder, PublishEncoder } from "../src/codec/index.ts";

const ROUND_COUNT = 5;
const OPERATION_COUNT = 300_000;
const topicName = "sensors/room17/temp";
const payload = new Uint8Array(72).fill(120);

const frame = mqttPacket.generate(
  {
    cmd: "publish",
    topic: topicName,
    payload: Buffer.from(payload),
    qos: 1,
    messageId: 17,
    retain: false,
    dup: false,
  },
  { protocolVersion: 5 },
);

/** The best of some rounds, in operations per second. */
function rate(operation: (packetIdentifier: number) => void): number {
  let best = 0;
  for (let round = 0; round < ROUND_COUNT; round += 1) {
    const startedMs = performance.now();
    for (let count = 0; count < OPERATION_COUNT; count += 1) operation((count % 65_535) + 1);
    best = Math.max(best, (OPERATION_COUNT * 1000) / (performance.now() - startedMs));
  }
  return best;
}

function decoding(): [number, number] {
  const decoder = new PacketDecoder({ maximumPacketSizeBytes: 1_000_000, protocolVersion: 5 });
  const bytes = Uint8Array.from(frame);
  const parser = mqttPacket.parser({ protocolVersion: 5 });
  return [rate(() => decoder.push(bytes)), rate(() => parser.parse(frame))];
}

function encoding(isFanOut: boolean): [number, number] {
  const encoder = new PublishEncoder();
  const message = { topicName, payload, qos: 1, retain: false } as const;
  const buffer = Buffer.from(payload);
  const ours = rate((packetIdentifier) => {
    const one = isFanOut ? message : { ...message };
    encoder.encode({ message: one, qos: 1, retain: false, dup: false, packetIdentifier }, 5);
  });
  const theirs = rate((messageId) => {
    mqttPacket.generate(
      { cmd: "publish", topic: topicName, payload: buffer, qos: 1, messageId, retain: false, dup: false },
      { protocolVersion: 5 },
    );
  });
  return [ours, theirs];
}

console.log(`PUBLISH of ${frame.length} bytes, QoS 1, version 5; operations per second`);
for (const [name, [ours, theirs]] of [
  ["decode", decoding()],
  ["encode, another message each time", encoding(false)],
  ["encode, one message to many", encoding(true)],
] as const) {
  const ratio = (ours / theirs).toFixed(2);
  console.log(
    `${name}: ${Math.round(ours)} against ${Math.round(theirs)} of mqtt-packet, ${ratio} times as many`,
  );
}
