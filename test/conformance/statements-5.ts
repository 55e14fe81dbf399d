/** MQTT 5.0, the statements of its Appendix B in the order of their sections. */
import { parseStatements } from "./statement.ts";

export const statements5 = parseStatements(
  "5.0",
  `
1.5.4-1 B Text that is not well-formed UTF-8, surrogates included, makes the packet malformed.
1.5.4-2 B U+0000 in any string makes the packet malformed.
1.5.4-3 B U+FEFF is a character like any other, and is passed on.
1.5.5-1 B A number encoded in more bytes than it needs makes the packet malformed; duramq's own are the shortest.
1.5.7-1 B Name and value of a User Property are held to the rules for strings.
2.1.3-1 B Another value of reserved flags than the prescribed one makes the packet malformed; duramq sends the prescribed one.
2.2.1-2 B A PUBLISH with QoS 0 has no Packet Identifier: what follows the Topic Name is read as what comes next, and duramq sends none.
2.2.1-3 C Packet Identifier 0 in SUBSCRIBE, UNSUBSCRIBE or PUBLISH is answered with 0x82 and closing.
2.2.1-4 S A new PUBLISH to a client gets the next identifier that is not in flight to it, from 1 to 65,535.
2.2.1-5 B Responses to a PUBLISH carry its Packet Identifier.
2.2.1-6 B SUBACK and UNSUBACK carry the Packet Identifier of what they answer.
2.2.2-1 B Where there are no properties, the Property Length is sent as 0; a packet that ends before it may do so only where the specification allows it.
3.1.0-1 C Any other packet before CONNECT closes the connection without an answer.
3.1.0-2 S A second CONNECT is answered with 0x82 and closing.
3.1.2-1 S Another Protocol Name than MQTT (or MQIsdp for 3.1) closes the connection.
3.1.2-2 S A version that is not 3, 4 or 5 is answered with 0x84 (1 in the form of 3.1.1) and closing.
3.1.2-3 S A CONNECT with its reserved flag set is malformed.
3.1.2-4 B Clean Start ends the session that was there and makes a new one.
3.1.2-5 S Without Clean Start the session goes on: subscriptions, what is in flight and what waits.
3.1.2-6 S Without Clean Start and without a session, a new one is made.
3.1.2-7 S The Will is stored with the session from CONNECT on, and outlives a restart of the server.
3.1.2-8 S The Will is published when the connection ended and its delay or the session is over, except after a normal DISCONNECT or a return in time.
3.1.2-9 B With the Will Flag, a CONNECT that lacks Will Topic or Will Payload is malformed.
3.1.2-10 S A Will that was published or discarded is forgotten: it is not published again.
3.1.2-11 B Will QoS without the Will Flag makes CONNECT malformed.
3.1.2-12 B Will QoS 3 makes CONNECT malformed.
3.1.2-13 B Will Retain without the Will Flag makes CONNECT malformed.
3.1.2-14 S Without Will Retain the Will is published as a message that is not retained.
3.1.2-15 S With Will Retain the Will becomes the topic's retained message.
3.1.2-16 B A User Name without its flag is bytes too many, which makes CONNECT malformed.
3.1.2-17 B The flag without a User Name makes CONNECT malformed.
3.1.2-18 B A Password without its flag makes CONNECT malformed.
3.1.2-19 B The flag without a Password makes CONNECT malformed.
3.1.2-20 C PINGREQ is as good as any other packet for the Keep Alive.
3.1.2-21 C A client that was told a Server Keep Alive is held to that one.
3.1.2-22 S One and a half times the Keep Alive after its last packet a client gets 0x8D, and its connection is closed as a lost one.
3.1.2-23 B A session with an expiry is stored when its connection ends.
3.1.2-24 S Nothing larger than the client's Maximum Packet Size is sent to it.
3.1.2-25 S A message that is too large for a client counts as delivered to it: the next ones come, and a counter tells.
3.1.2-26 S Topic Aliases to a client stay at or below the Topic Alias Maximum it announced.
3.1.2-27 S A client that announced no Topic Alias Maximum, or 0, gets no Topic Alias.
3.1.2-28 S Response Information is sent only to a client that asked for it.
3.1.2-29 S A client that wants no problem information gets Reason Strings on CONNACK and DISCONNECT alone.
3.1.2-30 C During an exchange of AUTH packets any packet but AUTH and DISCONNECT closes the connection.
3.1.3-1 B The fields of the payload are read in the prescribed order, with the flags saying which there are.
3.1.3-2 B Sessions are found by the Client Identifier.
3.1.3-3 B The Client Identifier is the first field of the payload, and a CONNECT without it is malformed.
3.1.3-4 B A Client Identifier that is not well-formed UTF-8 makes CONNECT malformed.
3.1.3-5 S Client Identifiers of up to 256 characters of any kind are taken.
3.1.3-6 S A client with an empty Client Identifier is assigned a unique one.
3.1.3-7 S The assigned one is told in CONNACK and used as if the client had named it.
3.1.3-8 S A Client Identifier that is refused is answered with 0x85 and closing.
3.1.3-9 S A client that returns within the Will Delay Interval cancels its Will.
3.1.3-10 S The User Properties of a Will are published in the order in which CONNECT gave them.
3.1.3-11 B A Will Topic that is not well-formed UTF-8 makes CONNECT malformed.
3.1.3-12 B A User Name that is not well-formed UTF-8 makes CONNECT malformed.
3.1.4-1 S A CONNECT that breaks the format closes the connection, in version 5 after a CONNACK that says why.
3.1.4-2 S A CONNECT that the server does not want (limits, methods, topics) is answered with the reason and closing.
3.1.4-3 S The older connection of the same Client Identifier gets 0x8E and is closed.
3.1.4-4 S Clean Start is obeyed.
3.1.4-5 S A CONNECT that is accepted is answered with CONNACK 0x00.
3.1.4-6 S What a client sends behind a CONNECT that was refused is not looked at.
3.2.0-1 S CONNACK is the first packet to a client, AUTH apart, however much waits for it.
3.2.0-2 S A connection gets one CONNACK.
3.2.2-1 S The upper seven bits of the acknowledge flags are 0.
3.2.2-2 S With Clean Start, Session Present is 0.
3.2.2-3 S Without Clean Start, Session Present says whether the session was there.
3.2.2-4 C The client closes the connection when it has no session but is told of one.
3.2.2-5 C The client forgets its session when the server has none.
3.2.2-6 S A CONNACK that refuses has Session Present 0.
3.2.2-7 S The connection is closed behind a CONNACK that refuses.
3.2.2-8 S CONNACK uses only codes that are defined for it.
3.2.2-9 S A server that was configured to a lower maximum QoS announces it.
3.2.2-10 S A lower maximum QoS leaves every SUBSCRIBE welcome; what is granted is the lower of the two.
3.2.2-11 C A PUBLISH above the announced maximum QoS is answered with 0x9B and closing.
3.2.2-12 S A Will above the maximum QoS is refused with 0x9B.
3.2.2-13 S A retained Will is refused with 0x9A where retained messages are not available.
3.2.2-14 C A retained PUBLISH is answered with 0x9A and closing where retained messages are not available.
3.2.2-15 C A packet larger than the announced Maximum Packet Size is answered with 0x95 and closing, before it has come whole.
3.2.2-16 S The Assigned Client Identifier is random and names no other session.
3.2.2-17 C A Topic Alias above the announced maximum is answered with 0x94 and closing.
3.2.2-18 C Where aliases are switched off, any is answered with 0x94 and closing.
3.2.2-19 S The Reason String is left out of a CONNACK that would be too large with it.
3.2.2-20 S CONNACK holds no User Property.
3.2.2-21 C A client that was told a Server Keep Alive is held to that one.
3.2.2-22 S Without Server Keep Alive the client's own Keep Alive holds.
3.3.1-1 B DUP is set on what may have reached the client before.
3.3.1-2 B DUP is never set with QoS 0, and malformed when it comes.
3.3.1-3 B DUP of an incoming PUBLISH is not passed on.
3.3.1-4 B QoS 3 makes PUBLISH malformed.
3.3.1-5 S A PUBLISH with RETAIN becomes the topic's retained message, with its QoS, in place of the earlier one.
3.3.1-6 S An empty PUBLISH with RETAIN is passed on and removes the topic's retained message.
3.3.1-7 S An empty message is never retained.
3.3.1-8 S A PUBLISH without RETAIN leaves the topic's retained message alone.
3.3.1-9 S Retain Handling 0: every SUBSCRIBE is followed by the retained messages that match.
3.3.1-10 S Retain Handling 1: only a subscription that is new is followed by them.
3.3.1-11 S Retain Handling 2: none are sent.
3.3.1-12 S Without Retain As Published, messages are passed on with RETAIN 0.
3.3.1-13 S With Retain As Published, RETAIN is passed on as it came.
3.3.2-1 B The Topic Name is the first field of PUBLISH, and malformed when it is not well-formed UTF-8.
3.3.2-2 B A Topic Name with a wildcard is answered with 0x90 and closing.
3.3.2-3 S A PUBLISH to a client has the Topic Name under which it was published, which matches the subscription.
3.3.2-4 S The Payload Format Indicator is passed on unaltered.
3.3.2-5 S A message that expired before it was sent is dropped for that subscriber.
3.3.2-6 S A message is sent with what is left of its Message Expiry Interval.
3.3.2-7 B Topic Aliases end with their connection, both ways.
3.3.2-8 B Topic Alias 0 is answered with 0x94 and closing; duramq's own begin at 1.
3.3.2-9 C A Topic Alias above the announced maximum is answered with 0x94 and closing.
3.3.2-10 C The client takes every alias up to the maximum it announced.
3.3.2-11 S Topic Aliases to a client stay at or below its maximum.
3.3.2-12 S Every alias from 1 to the announced maximum is taken.
3.3.2-13 B A Response Topic that is not well-formed UTF-8 makes the packet malformed.
3.3.2-14 B A Response Topic with a wildcard is answered with 0x90 and closing.
3.3.2-15 S The Response Topic is passed on unaltered.
3.3.2-16 S The Correlation Data are passed on unaltered.
3.3.2-17 S The User Properties are passed on unaltered.
3.3.2-18 S The User Properties keep their order, duplicates included.
3.3.2-19 B A Content Type that is not well-formed UTF-8 makes the packet malformed.
3.3.2-20 S The Content Type is passed on unaltered.
3.3.4-1 B QoS 0 is not answered, QoS 1 with PUBACK, QoS 2 with PUBREC.
3.3.4-2 S Of overlapping subscriptions the highest QoS counts.
3.3.4-3 S The identifiers of the subscriptions that match come with the message.
3.3.4-4 S The one copy that a client gets holds the identifiers of all its subscriptions that match.
3.3.4-5 S A client gets one copy of a message, whatever subscriptions of it match. ~ It is for servers that send a copy per subscription.
3.3.4-6 C A Subscription Identifier from a client is answered with 0x82 and closing.
3.3.4-7 C A client that exceeds the announced Receive Maximum gets 0x93 and is closed.
3.3.4-8 C The client goes on with other packets when its quota is used up.
3.3.4-9 S No more QoS 1 and 2 messages are in flight to a client than its Receive Maximum.
3.3.4-10 S A full window holds back QoS 1 and 2 messages alone.
3.4.2-1 B PUBACK has codes of its table alone; another one from a client is answered with 0x82 and closing.
3.4.2-2 B PUBACK stays within the client's Maximum Packet Size, its Reason String included.
3.4.2-3 B PUBACK holds no User Property.
3.5.2-1 B PUBREC has codes of its table alone; another one from a client is answered with 0x82 and closing.
3.5.2-2 B PUBREC stays within the client's Maximum Packet Size, its Reason String included.
3.5.2-3 B PUBREC holds no User Property.
3.6.1-1 B PUBREL with other flags than 0010 is malformed.
3.6.2-1 B PUBREL has codes of its table alone; another one from a client is answered with 0x82 and closing.
3.6.2-2 B PUBREL stays within the client's Maximum Packet Size, its Reason String included.
3.6.2-3 B PUBREL holds no User Property.
3.7.2-1 B PUBCOMP has codes of its table alone; another one from a client is answered with 0x82 and closing.
3.7.2-2 B PUBCOMP stays within the client's Maximum Packet Size, its Reason String included.
3.7.2-3 B PUBCOMP holds no User Property.
3.8.1-1 B SUBSCRIBE with other flags than 0010 is malformed.
3.8.3-1 B A Topic Filter that is not well-formed UTF-8 makes SUBSCRIBE malformed.
3.8.3-2 B A SUBSCRIBE without a Topic Filter is answered with 0x82 and closing.
3.8.3-3 S With No Local, a client does not get what it published itself.
3.8.3-4 B No Local on a shared subscription is answered with 0x82 and closing.
3.8.3-5 S Reserved bits in the Subscription Options make SUBSCRIBE malformed.
3.8.4-1 S Every SUBSCRIBE is answered with SUBACK.
3.8.4-2 S SUBACK has the Packet Identifier of its SUBSCRIBE.
3.8.4-3 S A subscription with the same Topic Filter takes the place of the earlier one.
3.8.4-4 S Replacing a subscription sends the retained messages again (Retain Handling 0) and loses no message.
3.8.4-5 S Many Topic Filters in a packet are handled one after the other, with one SUBACK.
3.8.4-6 S SUBACK has a code for each Topic Filter.
3.8.4-7 S Each code is the QoS granted, or why the subscription failed.
3.8.4-8 S Messages are sent with the lower of their QoS and the one granted.
3.9.2-1 S SUBACK stays within the client's Maximum Packet Size, its Reason String included.
3.9.2-2 S SUBACK holds no User Property.
3.9.3-1 S The codes of SUBACK stand in the order of the Topic Filters.
3.9.3-2 S SUBACK uses only codes that are defined for it.
3.10.1-1 B UNSUBSCRIBE with other flags than 0010 is malformed.
3.10.3-1 B A Topic Filter that is not well-formed UTF-8 makes UNSUBSCRIBE malformed.
3.10.3-2 B An UNSUBSCRIBE without a Topic Filter is answered with 0x82 and closing.
3.10.4-1 S UNSUBSCRIBE ends the subscription with exactly that Topic Filter.
3.10.4-2 S After UNSUBSCRIBE no new message is queued for its filters.
3.10.4-3 S What is in flight when a subscription ends is still completed.
3.10.4-4 S Every UNSUBSCRIBE is answered with UNSUBACK.
3.10.4-5 S UNSUBACK has the Packet Identifier of its UNSUBSCRIBE, also where nothing was subscribed.
3.10.4-6 S Many Topic Filters in a packet are handled one after the other, with one UNSUBACK.
3.11.2-1 S UNSUBACK stays within the client's Maximum Packet Size, its Reason String included.
3.11.2-2 S UNSUBACK holds no User Property.
3.11.3-1 S The codes of UNSUBACK stand in the order of the Topic Filters.
3.11.3-2 S UNSUBACK uses only codes that are defined for it.
3.12.4-1 S PINGREQ is answered with PINGRESP.
3.14.0-1 S A client that was not accepted gets no DISCONNECT.
3.14.1-1 B DISCONNECT with reserved flags is answered with 0x81 and closing.
3.14.2-1 B DISCONNECT has codes of its table alone; one that clients may not send is answered with 0x82 and closing.
3.14.2-2 S DISCONNECT from the server holds no Session Expiry Interval.
3.14.2-3 B The Reason String is left out of a DISCONNECT that would be too large with it.
3.14.2-4 B DISCONNECT holds no User Property.
3.14.4-1 B Nothing is sent after DISCONNECT, and what a client sends after its own is not looked at.
3.14.4-2 B The connection is closed behind DISCONNECT.
3.14.4-3 S DISCONNECT 0x00 discards the Will.
3.15.1-1 B AUTH with flags is malformed.
3.15.2-1 B AUTH has codes of its table alone; one that clients may not send is answered with 0x82 and closing.
3.15.2-2 B AUTH from the server holds no Reason String.
3.15.2-3 B AUTH from the server holds no User Property.
4.1.0-1 B A session lasts as long as its connection.
4.1.0-2 S A session ends when its Session Expiry Interval has passed without a connection.
4.2.0-1 B The transport is WebSocket, whose messages are read as one ordered stream of bytes.
4.3.1-1 B QoS 0 is sent once, with DUP 0.
4.3.2-1 B A new QoS 1 message gets an identifier that is not in use.
4.3.2-2 B It is sent first with DUP 0.
4.3.2-3 B It is in flight until PUBACK.
4.3.2-4 B A QoS 1 message is acknowledged when it is safe: written where it must outlive the server.
4.3.2-5 B After PUBACK the identifier names a new message, DUP or not.
4.3.3-1 B A new QoS 2 message gets an identifier that is not in use.
4.3.3-2 B It is sent first with DUP 0.
4.3.3-3 B It is in flight until PUBREC.
4.3.3-4 B PUBREC below 0x80 is answered with PUBREL of the same identifier.
4.3.3-5 B PUBREL is in flight until PUBCOMP.
4.3.3-6 B Once PUBREL was sent, the PUBLISH is not sent again.
4.3.3-7 B A message that was sent does not expire: its delivery is completed.
4.3.3-8 B A QoS 2 message is answered with PUBREC when it is safe.
4.3.3-9 B After a PUBREC that refuses, the identifier names a new message.
4.3.3-10 B Until PUBREL, the same identifier is answered with PUBREC again and not passed on again.
4.3.3-11 B PUBREL is answered with PUBCOMP of the same identifier.
4.3.3-12 B After PUBCOMP the identifier names a new message.
4.3.3-13 B A message that expires during its delivery is acknowledged to the end.
4.4.0-1 B What was not acknowledged is sent again when the client returns to its session, with the same identifiers, and at no other time.
4.4.0-2 B A PUBACK or PUBREC that refuses ends the delivery as one that accepts does.
4.5.0-1 S A message goes to every session that has a matching subscription, connected or not (QoS 0: connected).
4.5.0-2 C The client acknowledges what it gets.
4.6.0-1 C The client sends again in the order in which it sent.
4.6.0-2 C The client acknowledges QoS 1 in order, and so does duramq.
4.6.0-3 C The client sends PUBREC in order, and so does duramq.
4.6.0-4 C The client sends PUBREL in order.
4.6.0-5 S The messages of one publisher on one topic and QoS are sent to a subscriber in the order in which they came.
4.6.0-6 S All topics are ordered.
4.7.0-1 B Wildcards stand in Topic Filters alone.
4.7.1-1 B A Topic Filter with # anywhere but alone in its last level is answered with 0x8F and closing.
4.7.1-2 B A Topic Filter with + beside other characters in a level is answered with 0x8F and closing.
4.7.2-1 S A filter that begins with a wildcard does not match a Topic Name that begins with $.
4.7.3-1 B An empty Topic Name (without an alias) or Topic Filter is refused.
4.7.3-2 B U+0000 in either makes the packet malformed.
4.7.3-3 B Topic Names and Topic Filters of up to 65,535 bytes are taken, as far as the limits for levels and packets allow.
4.7.3-4 S Topics are compared character by character: no case, no normal form, no trimming.
4.8.2-1 B $share/ with an empty ShareName is no Topic Filter: 0x8F and closing.
4.8.2-2 B A ShareName with a wildcard, or without / and a Topic Filter behind it, is no Topic Filter: 0x8F and closing.
4.8.2-3 S Each member of a group gets messages with the QoS granted to it at most.
4.8.2-4 S A QoS 2 message in flight to a member that went offline waits for that member's return.
4.8.2-5 S When that member's session ends, the QoS 2 message ends with it.
4.8.2-6 S A message that a member refuses is not offered to another one.
4.9.0-1 B The window to a client begins full: its Receive Maximum, at most 100.
4.9.0-2 B With nothing left of the window, no QoS 1 or 2 message is sent.
4.9.0-3 B A full window holds nothing back but such messages.
4.12.0-1 S An Authentication Method that is not configured is answered with 0x8C and closing.
4.12.0-2 S AUTH that asks the client for more has the code 0x18.
4.12.0-3 C An AUTH that goes on with an exchange and has another code than 0x18 is answered with 0x82 and closing.
4.12.0-4 S An exchange that fails ends in a CONNACK that refuses, and closing.
4.12.0-5 B AUTH and the CONNACK that ends an exchange name the Authentication Method of CONNECT.
4.12.0-6 S A client that named no Authentication Method gets no AUTH, and a CONNACK without one.
4.12.0-7 C AUTH from a client that named no Authentication Method is answered with 0x82 and closing.
4.12.1-1 C Another Authentication Method in a new exchange ends the connection.
4.12.1-2 B A new exchange that fails ends the connection with the reason.
4.13.1-1 S A malformed packet or protocol error closes the connection, with the code that the specification gives.
4.13.2-1 B A CONNACK or DISCONNECT of 0x80 and above comes with closing, whether or not it could be sent.
6.0.0-1 B A text message closes the connection with 1003; duramq sends binary ones.
6.0.0-2 B Packets may be cut over WebSocket messages, and many may come in one.
6.0.0-3 C An upgrade that does not offer the subprotocol mqtt is refused with 400.
6.0.0-4 S The subprotocol chosen is mqtt wherever it is offered; a client that offers only mqttv3.1, as those of MQTT 3.1 did, gets that.
`,
);
