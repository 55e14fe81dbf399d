/** The wire codec: what clients send comes in through PacketDecoder, what the server says goes out encoded. */
export type { DecodeFault } from "./fault.ts";
export { PacketDecoder } from "./packet-decoder.ts";
export type { Decoded, PacketDecoderOptions } from "./packet-decoder.ts";
export { encodePacket } from "./encode-packet.ts";
export { PublishEncoder, publishSizeBytes } from "./publish-encoder.ts";
export { isUtf8 } from "./utf8.ts";
export { isSharedTopicFilter, isValidTopicFilter, isValidTopicName } from "./topic-syntax.ts";
