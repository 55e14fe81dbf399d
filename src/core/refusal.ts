import type { Limits } from "./limits.ts";
import type { ApplicationMessage, QoS } from "./packet.ts";
import { ReasonCode } from "./reason-code.ts";
import { levelCountOf } from "./topic.ts";
import { isServerTopic } from "./topics/server-topics.ts";

/** Why something is not done: the specification's code, and which limit or rule it was. */
export interface Refusal {
  readonly reasonCode: ReasonCode;
  readonly reasonString: string;
}

/** Data of another layout: whatever was done would be done in the wrong place. */
export const foreignLayoutRefusal: Refusal = {
  reasonCode: ReasonCode.ServerUnavailable,
  reasonString: "The broker is set up for another number of shards than its data",
};

/** What cannot be read must not be overwritten either. */
export const unreadableRefusal: Refusal = {
  reasonCode: ReasonCode.ServerUnavailable,
  reasonString: "The broker cannot read its data",
};

/** Why a client's message, or Will, is not taken; undefined when it is. */
export function messageRefusalOf(
  message: ApplicationMessage,
  limits: Limits,
  isUtf8: (bytes: Uint8Array) => boolean,
): Refusal | undefined {
  const { topicName, payload, payloadFormatIndicator } = message;
  // `$SYS` is the server's own.
  if (isServerTopic(topicName)) {
    return { reasonCode: ReasonCode.NotAuthorized, reasonString: "Clients do not publish to $SYS" };
  }
  if (levelCountOf(topicName) > limits.topicLevelsMax) {
    return {
      reasonCode: ReasonCode.TopicNameInvalid,
      reasonString: `The Topic Name has more than ${limits.topicLevelsMax} levels`,
    };
  }
  if (limits.validatesPayloadFormat && payloadFormatIndicator === 1 && !isUtf8(payload)) {
    return {
      reasonCode: ReasonCode.PayloadFormatInvalid,
      reasonString: "The payload is not the UTF-8 that its Payload Format Indicator promises",
    };
  }
  return undefined;
}

/** Why a PUBLISH, or a Will, is a fault of the client: CONNACK told it ([MQTT-3.2.2-11], [MQTT-3.2.2-14]). */
export function capabilityRefusalOf(
  { qos, retain }: { qos: QoS; retain: boolean },
  { maximumQos, retainAvailable }: Limits,
): Refusal | undefined {
  if (qos > maximumQos) {
    return { reasonCode: ReasonCode.QoSNotSupported, reasonString: `QoS is limited to ${maximumQos}` };
  }
  if (retain && !retainAvailable) {
    return { reasonCode: ReasonCode.RetainNotSupported, reasonString: "Messages are not retained here" };
  }
  return undefined;
}

export const storageFull: Refusal = {
  reasonCode: ReasonCode.QuotaExceeded,
  reasonString: "The broker has no room to store more",
};
