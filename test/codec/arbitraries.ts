/** Arbitrary valid packets for property tests. */
import fc from "fast-check";
import type { ClientPacket, Delivery, ProtocolVersion, ServerPacket } from "../../src/core/packet.ts";

/** A record whose optional fields are present in some cases only; absent keys are absent, not undefined. */
function fields<Required>(
  required: { readonly [Name in keyof Required]: fc.Arbitrary<Required[Name]> },
  optional: Readonly<Record<string, fc.Arbitrary<unknown>>>,
): fc.Arbitrary<Required> {
  const requiredKeys = Object.keys(required) as never[];
  return fc.record({ ...required, ...optional } as never, { requiredKeys }) as never;
}

const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((value) => !value.includes("\0"));
const level = text.map((value) => value.replaceAll(/[/+#$]/g, "") || "level");
const topicName = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join("/"));
const plainFilter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant("+")), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, open]) => [...levels, ...(open ? ["#"] : [])].join("/"));
const sharedFilter = fc.tuple(level, plainFilter).map(([name, filter]) => `$share/${name}/${filter}`);
const binary = fc.uint8Array({ maxLength: 200 });
const userProperties = fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 3 });
const uint16 = fc.nat(0xffff);
const positive16 = fc.integer({ min: 1, max: 0xffff });
const uint32 = fc.nat(0xffff_ffff);
const qos = fc.constantFrom(0, 1, 2);
const bit = fc.constantFrom(0, 1);
const reason = { reasonString: text, userProperties };

const constants = <Value>(value: Value): fc.Arbitrary<Value> => fc.constant(value);

const messageFields = { topicName, payload: binary, qos, retain: fc.boolean() };
const messageProperties = {
  payloadFormatIndicator: bit,
  contentType: text,
  responseTopic: topicName,
  correlationData: binary,
  userProperties,
  messageExpiryIntervalSec: uint32,
};

function connect(version: ProtocolVersion): fc.Arbitrary<ClientPacket> {
  const is5 = version === 5;
  const will = fields(
    { ...messageFields, willDelayIntervalSec: is5 ? uint32 : constants(0) },
    is5 ? messageProperties : {},
  );
  const properties = {
    receiveMaximum: positive16,
    maximumPacketSizeBytes: fc.integer({ min: 1, max: 0xffff_ffff }),
    topicAliasMaximum: uint16,
    requestResponseInformation: fc.boolean(),
    requestProblemInformation: fc.boolean(),
    userProperties,
    authenticationMethod: text,
  };
  return fields(
    {
      type: constants("connect" as const),
      protocolVersion: constants(version),
      cleanStart: fc.boolean(),
      keepAliveSec: uint16,
      clientId: is5 ? text : level,
      userName: text,
      sessionExpiryIntervalSec: uint32,
    },
    { will, password: binary, ...(is5 ? properties : {}) },
  ).map((packet) => ({
    ...packet,
    ...(!is5 && { sessionExpiryIntervalSec: packet.cleanStart ? 0 : 0xffff_ffff }),
  })) as fc.Arbitrary<ClientPacket>;
}

function publish(version: ProtocolVersion): fc.Arbitrary<ClientPacket> {
  const message = fields(messageFields, version === 5 ? messageProperties : {});
  return fields(
    { message, dup: fc.boolean(), packetIdentifier: positive16 },
    version === 5 ? { topicAlias: positive16 } : {},
  ).map(({ packetIdentifier, dup, ...rest }) => {
    const identified = rest.message.qos > 0;
    return { type: "publish", ...rest, dup: dup && identified, ...(identified && { packetIdentifier }) };
  }) as fc.Arbitrary<ClientPacket>;
}

function response(type: string, codes: readonly number[], version: ProtocolVersion): fc.Arbitrary<never> {
  return fields(
    {
      type: constants(type),
      packetIdentifier: positive16,
      reasonCode: version === 5 ? fc.constantFrom(...codes) : constants(0),
    },
    version === 5 ? reason : {},
  ) as fc.Arbitrary<never>;
}

function subscribe(version: ProtocolVersion): fc.Arbitrary<ClientPacket> {
  const is5 = version === 5;
  const no = constants(false);
  const request = fc
    .record({
      topicFilter: fc.oneof(plainFilter, sharedFilter),
      maximumQos: qos,
      noLocal: is5 ? fc.boolean() : no,
      retainAsPublished: is5 ? fc.boolean() : no,
      retainHandling: is5 ? fc.constantFrom(0, 1, 2) : constants(0),
    })
    .map((one) => ({ ...one, noLocal: one.noLocal && !one.topicFilter.startsWith("$share/") }));
  return fields(
    {
      type: constants("subscribe"),
      packetIdentifier: positive16,
      requests: fc.array(request, { minLength: 1, maxLength: 4 }),
    },
    is5 ? { userProperties, subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }) } : {},
  ) as fc.Arbitrary<ClientPacket>;
}

const RECEIVED_CODES = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];

function responses(version: ProtocolVersion): fc.Arbitrary<never>[] {
  return [
    response("puback", RECEIVED_CODES, version),
    response("pubrec", RECEIVED_CODES, version),
    response("pubrel", [0x00, 0x92], version),
    response("pubcomp", [0x00, 0x92], version),
  ];
}

/** Any valid CONNECT of `version`. */
export const connectPacket = connect;

/** Any valid packet that a client of `version` sends after CONNECT. */
export function clientPacket(version: ProtocolVersion): fc.Arbitrary<ClientPacket> {
  const is5 = version === 5;
  const unsubscribe = fields(
    {
      type: constants("unsubscribe"),
      packetIdentifier: positive16,
      topicFilters: fc.array(plainFilter, { minLength: 1, maxLength: 4 }),
    },
    is5 ? { userProperties } : {},
  );
  const disconnect = fields(
    { type: constants("disconnect"), reasonCode: is5 ? fc.constantFrom(0, 4, 0x80, 0x98) : constants(0) },
    is5 ? { ...reason, sessionExpiryIntervalSec: uint32 } : {},
  );
  const auth = fields(
    { type: constants("auth"), reasonCode: fc.constantFrom(0x18, 0x19), authenticationMethod: text },
    { ...reason, authenticationData: binary },
  );
  return fc.oneof(
    publish(version),
    subscribe(version),
    unsubscribe as never,
    ...responses(version),
    constants({ type: "pingreq" }),
    disconnect as never,
    ...(is5 ? [auth as never] : []),
  ) as fc.Arbitrary<ClientPacket>;
}

/** Any packet that a server sends in version 5, PUBLISH apart. */
export function serverPacket(): fc.Arbitrary<ServerPacket> {
  const connack = fields(
    {
      type: constants("connack"),
      sessionPresent: fc.boolean(),
      reasonCode: fc.constantFrom(0x00, 0x80, 0x84, 0x85, 0x86, 0x87, 0x8c, 0x97, 0x9f),
    },
    {
      ...reason,
      sessionExpiryIntervalSec: uint32,
      receiveMaximum: positive16,
      maximumQos: bit,
      retainAvailable: fc.boolean(),
      maximumPacketSizeBytes: fc.integer({ min: 1, max: 0xffff_ffff }),
      assignedClientIdentifier: text,
      topicAliasMaximum: uint16,
      wildcardSubscriptionAvailable: fc.boolean(),
      subscriptionIdentifiersAvailable: fc.boolean(),
      sharedSubscriptionAvailable: fc.boolean(),
      serverKeepAliveSec: uint16,
      responseInformation: text,
      serverReference: text,
      authenticationMethod: text,
      authenticationData: binary,
    },
  );
  const subscribeResponse = (type: string, codes: readonly number[]) =>
    fields(
      {
        type: constants(type),
        packetIdentifier: positive16,
        reasonCodes: fc.array(fc.constantFrom(...codes), { minLength: 1, maxLength: 5 }),
      },
      reason,
    );
  const disconnect = fields(
    { type: constants("disconnect"), reasonCode: fc.constantFrom(0, 0x81, 0x8b, 0x9d) },
    { ...reason, serverReference: text },
  );
  const auth = fields(
    { type: constants("auth"), reasonCode: fc.constantFrom(0x00, 0x18), authenticationMethod: text },
    { ...reason, authenticationData: binary },
  );
  return fc.oneof(
    connack as never,
    ...responses(5),
    subscribeResponse("suback", [0, 1, 2, 0x80, 0x87, 0x8f]) as never,
    subscribeResponse("unsuback", [0, 0x11, 0x80, 0x8f]) as never,
    constants({ type: "pingresp" }) as never,
    disconnect as never,
    auth as never,
  ) as fc.Arbitrary<ServerPacket>;
}

/** Any delivery of any message. */
export function delivery(): fc.Arbitrary<Delivery> {
  return fields(
    {
      message: fields(messageFields, messageProperties),
      qos,
      retain: fc.boolean(),
      dup: fc.boolean(),
      packetIdentifier: positive16,
    },
    {
      subscriptionIdentifiers: fc.array(fc.integer({ min: 1, max: 268_435_455 }), {
        minLength: 1,
        maxLength: 3,
      }),
      messageExpiryIntervalSec: uint32,
      topicAlias: positive16,
    },
  ).map(({ packetIdentifier, dup, ...rest }) => ({
    ...rest,
    dup: dup && rest.qos > 0,
    ...(rest.qos > 0 && { packetIdentifier }),
  })) as fc.Arbitrary<Delivery>;
}
