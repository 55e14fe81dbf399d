/** MQTT 3.1.1, the statements of its Appendix B in the order of their sections. */
import { parseStatements } from "./statement.ts";

export const statements311 = parseStatements(
  "3.1.1",
  `
1.5.3-1 B Text that is not well-formed UTF-8, surrogates included, closes the connection.
1.5.3-2 B U+0000 in any string closes the connection.
1.5.3-3 B U+FEFF is a character like any other, and is passed on.
2.2.2-1 B Reserved flags are sent with the prescribed value.
2.2.2-2 B Another value of reserved flags than the prescribed one closes the connection.
2.3.1-1 B Packet Identifier 0 in SUBSCRIBE, UNSUBSCRIBE or PUBLISH closes the connection.
2.3.1-2 C The client takes an identifier that is not in use.
2.3.1-3 C The client sends again under the same identifier.
2.3.1-4 S A new PUBLISH to a client gets an identifier that is not in flight to it; one sent again keeps its own.
2.3.1-5 B A PUBLISH with QoS 0 has no Packet Identifier.
2.3.1-6 B Responses to a PUBLISH carry its Packet Identifier.
2.3.1-7 B SUBACK and UNSUBACK carry the Packet Identifier of what they answer.
3.1.0-1 C Any other packet before CONNECT closes the connection without an answer.
3.1.0-2 S A second CONNECT closes the connection.
3.1.2-1 S A Protocol Name that is neither MQTT nor MQIsdp closes the connection.
3.1.2-2 S A Protocol Level that is not supported is answered with return code 1 and closing.
3.1.2-3 S A CONNECT with its reserved flag set closes the connection.
3.1.2-4 B Without Clean Session the session goes on, or is made and kept after the connection.
3.1.2-5 S QoS 1 and 2 messages that match are kept for a session whose client is away.
3.1.2-6 B With Clean Session an earlier session is ended, and the new one ends with its connection.
3.1.2-7 S Retained messages outlive the session of their publisher.
3.1.2-8 S The Will is stored at CONNECT and published when the connection ends without DISCONNECT.
3.1.2-9 B With the Will Flag, a CONNECT that lacks Will Topic or Will Message closes the connection.
3.1.2-10 S A Will that was published or discarded is forgotten.
3.1.2-11 B Without the Will Flag, Will QoS, Will Retain or fields of a Will close the connection.
3.1.2-12 S Without the Will Flag nothing is published when the connection ends.
3.1.2-13 B Will QoS without the Will Flag closes the connection.
3.1.2-14 B Will QoS 3 closes the connection.
3.1.2-15 B Will Retain without the Will Flag closes the connection.
3.1.2-16 S Without Will Retain the Will is not retained.
3.1.2-17 S With Will Retain the Will becomes the topic's retained message.
3.1.2-18 B A user name without its flag closes the connection.
3.1.2-19 B The flag without a user name closes the connection.
3.1.2-20 B A password without its flag closes the connection.
3.1.2-21 B The flag without a password closes the connection.
3.1.2-22 B A password without a user name closes the connection.
3.1.2-23 C PINGREQ is as good as any other packet for the Keep Alive.
3.1.2-24 S One and a half times the Keep Alive after its last packet the connection of a client is closed as a lost one.
3.1.3-1 B The fields of the payload are read in the prescribed order.
3.1.3-2 B Sessions are found by the Client Identifier.
3.1.3-3 B A CONNECT without a Client Identifier field closes the connection.
3.1.3-4 B A Client Identifier that is not well-formed UTF-8 closes the connection.
3.1.3-5 S Client Identifiers of up to 256 characters of any kind are taken.
3.1.3-6 S A client with an empty Client Identifier and Clean Session gets a unique one.
3.1.3-7 C An empty Client Identifier needs Clean Session.
3.1.3-8 S An empty Client Identifier without Clean Session is answered with return code 2 and closing.
3.1.3-9 S A Client Identifier that is refused is answered with return code 2 and closing.
3.1.3-10 B A Will Topic that is not well-formed UTF-8 closes the connection.
3.1.3-11 B A user name that is not well-formed UTF-8 closes the connection.
3.1.4-1 S A CONNECT that breaks the format closes the connection without CONNACK.
3.1.4-2 S The older connection of the same Client Identifier is closed.
3.1.4-3 S Clean Session is obeyed.
3.1.4-4 S A CONNECT that is accepted is answered with CONNACK 0.
3.1.4-5 S What a client sends behind a CONNECT that was refused is not looked at.
3.2.0-1 S CONNACK is the first packet to a client.
3.2.2-1 S With Clean Session, Session Present is 0.
3.2.2-2 S Session Present is 1 when a session was there.
3.2.2-3 S Session Present is 0 when there was none.
3.2.2-4 S A CONNACK that refuses has Session Present 0.
3.2.2-5 S The connection is closed behind a CONNACK that refuses.
3.2.2-6 S Where no return code fits, the connection is closed without CONNACK.
3.3.1-1 B DUP is set on what may have reached the client before.
3.3.1-2 B DUP is never set with QoS 0.
3.3.1-3 B DUP of an incoming PUBLISH is not passed on.
3.3.1-4 B QoS 3 closes the connection.
3.3.1-5 S A PUBLISH with RETAIN becomes the topic's retained message, with its QoS.
3.3.1-6 S A new subscription is followed by the last retained message of each topic that matches.
3.3.1-7 S A retained QoS 0 message takes the place of the earlier one, and is kept as others are.
3.3.1-8 S A message that a new subscription brought has RETAIN 1.
3.3.1-9 S A message for a subscription that was there has RETAIN 0.
3.3.1-10 S An empty PUBLISH with RETAIN is passed on and removes the topic's retained message.
3.3.1-11 S An empty message is never retained.
3.3.1-12 S A PUBLISH without RETAIN leaves the topic's retained message alone.
3.3.2-1 B The Topic Name is the first field of PUBLISH, well-formed UTF-8 or the connection is closed.
3.3.2-2 B A Topic Name with a wildcard closes the connection.
3.3.2-3 S A PUBLISH to a client has the Topic Name under which it was published, which matches the subscription.
3.3.4-1 B QoS 0 is not answered, QoS 1 with PUBACK, QoS 2 with PUBREC.
3.3.5-1 S Of overlapping subscriptions the highest QoS counts, and one copy is sent.
3.3.5-2 S A PUBLISH that is not allowed closes the connection or is acknowledged without being passed on.
3.6.1-1 B PUBREL with other flags than 0010 closes the connection.
3.8.1-1 B SUBSCRIBE with other flags than 0010 closes the connection.
3.8.3-1 B A Topic Filter that is not well-formed UTF-8 closes the connection.
3.8.3-2 S Wildcards in Topic Filters are supported; where they are switched off, filters with them get 0x80.
3.8.3-3 B A SUBSCRIBE without a Topic Filter closes the connection.
3.8.3-4 S Reserved bits beside the requested QoS, or QoS 3, close the connection.
3.8.4-1 S Every SUBSCRIBE is answered with SUBACK.
3.8.4-2 S SUBACK has the Packet Identifier of its SUBSCRIBE.
3.8.4-3 S A subscription with the same Topic Filter takes the place of the earlier one, sends the retained messages again, and loses no message.
3.8.4-4 S Many Topic Filters in a packet are handled one after the other, with one SUBACK.
3.8.4-5 S SUBACK has a return code for each Topic Filter: the QoS granted, or 0x80.
3.8.4-6 S Messages are sent with the lower of their QoS and the one granted.
3.9.3-1 S The return codes of SUBACK stand in the order of the Topic Filters.
3.9.3-2 S SUBACK has no return codes but 0, 1, 2 and 0x80.
3.10.1-1 B UNSUBSCRIBE with other flags than 0010 closes the connection.
3.10.3-1 B A Topic Filter that is not well-formed UTF-8 closes the connection.
3.10.3-2 B An UNSUBSCRIBE without a Topic Filter closes the connection.
3.10.4-1 S UNSUBSCRIBE ends the subscription with exactly that Topic Filter.
3.10.4-2 S After UNSUBSCRIBE no new message is queued for its filters.
3.10.4-3 S What is in flight when a subscription ends is still completed.
3.10.4-4 S UNSUBSCRIBE is answered with UNSUBACK of the same Packet Identifier.
3.10.4-5 S UNSUBACK comes also where nothing was subscribed.
3.10.4-6 S Many Topic Filters in a packet are handled one after the other, with one UNSUBACK.
3.12.4-1 S PINGREQ is answered with PINGRESP.
3.14.1-1 S DISCONNECT with reserved flags closes the connection as a lost one.
3.14.4-1 C The client closes the connection after DISCONNECT; duramq does if it does not.
3.14.4-2 C What a client sends after DISCONNECT is not looked at.
3.14.4-3 S DISCONNECT discards the Will.
4.1.0-1 B State is stored as long as the session lasts.
4.1.0-2 B A session lasts at least as long as its connection.
4.3.1-1 B QoS 0 is sent once, with DUP 0.
4.3.2-1 B A new QoS 1 message has an unused identifier and DUP 0, and is in flight until PUBACK.
4.3.2-2 B A QoS 1 message is acknowledged when it is safe; after that its identifier names a new message.
4.3.3-1 B A new QoS 2 message has an unused identifier and DUP 0, is in flight until PUBREC, and its PUBREL until PUBCOMP.
4.3.3-2 B A QoS 2 message is answered with PUBREC, PUBREL with PUBCOMP, and passed on once.
4.4.0-1 B PUBLISHes and PUBRELs that were not acknowledged are sent again with the same identifiers when the client returns to its session.
4.5.0-1 S A message goes to every session that has a matching subscription, connected or not (QoS 0: connected).
4.5.0-2 C The client acknowledges what it gets.
4.6.0-1 B What is sent again is sent in its first order.
4.6.0-2 B PUBACKs are sent in the order of their PUBLISHes.
4.6.0-3 B PUBRECs are sent in the order of their PUBLISHes.
4.6.0-4 B PUBRELs are sent in the order of their PUBRECs.
4.6.0-5 S All topics are ordered.
4.6.0-6 S The messages of one publisher on one topic and QoS are sent to a subscriber in the order in which they came.
4.7.1-1 B Wildcards stand in Topic Filters alone.
4.7.1-2 B A Topic Filter with # anywhere but alone in its last level closes the connection.
4.7.1-3 B A Topic Filter with + beside other characters in a level closes the connection.
4.7.2-1 S A filter that begins with a wildcard does not match a Topic Name that begins with $.
4.7.3-1 B An empty Topic Name or Topic Filter closes the connection.
4.7.3-2 B U+0000 in either closes the connection.
4.7.3-3 B Topic Names and Topic Filters of up to 65,535 bytes are taken, as far as the limits for levels and packets allow.
4.7.3-4 S Topics are compared character by character: no case, no normal form, no trimming.
4.8.0-1 B A protocol violation closes the connection that it came on.
4.8.0-2 B A packet that cannot be served for lack of room closes the connection that it came on, and no other.
6.0.0-1 B A text message closes the connection with 1003; duramq sends binary ones.
6.0.0-2 B Packets may be cut over WebSocket messages, and many may come in one.
6.0.0-3 C An upgrade that does not offer the subprotocol mqtt is refused with 400.
6.0.0-4 S The subprotocol chosen is mqtt wherever it is offered; a client that offers only mqttv3.1, as those of MQTT 3.1 did, gets that.
7.0.0-1 S duramq opens no connections to other servers. ~ It is for servers that do.
7.0.0-2 B A client needs nothing beyond the specification to be served.
7.1.1-1 S The transport is WebSocket, whose messages are read as one ordered stream of bytes.
7.1.2-1 C The client brings a transport of that kind.
`,
);
