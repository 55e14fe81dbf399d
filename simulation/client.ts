/** A client as real ones are: comes back after a fault, sends again what was not acknowledged, answers in its own time. */
import type {
  ConnackPacket,
  ConnectPacket,
  PublishResponsePacket,
  SubscribeResponsePacket,
} from "../src/core/packet.ts";
import type { History, Message } from "./history.ts";
import { Violation } from "./history.ts";
import { Inbound } from "./inbound.ts";
import type { Link, LinkClient, Received, ReceivedPublish } from "./link.ts";
import { Outbound } from "./outbound.ts";
import type { ClientPlan, Step, Wanted } from "./plan.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import { SessionMemory } from "./session-memory.ts";
import { Subscribing } from "./subscribing.ts";

export interface ClientParts {
  readonly plan: ClientPlan;
  readonly history: History;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly open: (client: Client) => Link;
}

type Leave = Extract<Step, { readonly type: "leave" }>;

const backlogMax = 60;
/** How soon a Topic Filter is asked for again that was refused. */
const retryMs = 1_500;
/** A client waits so long for CONNACK. */
const connackMs = 20_000;
/** The broker answers everything within this, however slow other shards are. */
export const patienceMs = 45_000;

export class Client implements LinkClient {
  readonly plan: ClientPlan;
  readonly inbound: Inbound;
  readonly outbound: Outbound;
  readonly subscribing: Subscribing;
  readonly session: SessionMemory;
  readonly #parts: ClientParts;
  #link: Link | undefined;
  #isReady = false;
  /** When it comes back, unless something else brings it back. */
  #isAway = false;
  #backlog: Message[] = [];
  #answersAtMs = 0;
  #stalledUntilMs = 0;
  #wantsClean: boolean;
  #isResting = false;

  constructor(parts: ClientParts) {
    const { plan, history } = parts;
    this.#parts = parts;
    this.plan = plan;
    this.inbound = new Inbound(plan.clientId);
    this.subscribing = new Subscribing(history, plan.index, plan.wants);
    this.outbound = new Outbound(plan.clientId, plan.reusesIdentifiers, (identifier) =>
      this.subscribing.awaits(identifier),
    );
    this.session = new SessionMemory(plan);
    this.#wantsClean = plan.sessionExpiryIntervalSec === 0;
  }

  get isReady(): boolean {
    return this.#isReady && this.#link?.isOpen === true;
  }

  get backlogCount(): number {
    return this.#backlog.length;
  }

  get link(): Link | undefined {
    return this.#link;
  }

  /** The faults are over: it comes back, and stays. */
  rest(): void {
    this.#isResting = true;
    this.#stalledUntilMs = 0;
    if (this.#link?.isCut === true && this.#link.isOpen) this.onEnded(this.#link);
    if (this.#link === undefined) this.connect();
  }

  connect(): void {
    if (this.#link !== undefined) return;
    const { plan, random, scheduler } = this.#parts;
    this.#isAway = false;
    this.#isReady = false;
    const link = this.#parts.open(this);
    this.#link = link;
    const receiveMaximum = plan.protocolVersion === 5 ? random.pick(plan.receiveMaximums) : 0xffff;
    this.inbound.connect(receiveMaximum);
    this.outbound.connect();
    this.subscribing.connect();
    const packet = this.#connectPacket(link, receiveMaximum);
    this.session.onConnect(packet);
    this.#log(`> connect ${link.linkId}${packet.cleanStart ? " clean" : ""}, window ${receiveMaximum}`);
    link.up(packet);
    scheduler.after(connackMs, () => {
      if (this.#link === link && !this.#isReady) this.onEnded(link);
    });
    if (plan.keepAliveSec > 0) this.#ping(link);
  }

  publish(parts: Omit<Message, "id" | "number" | "publisher" | "epoch">): void {
    if (this.#backlog.length >= backlogMax) return;
    const { history, plan } = this.#parts;
    const message = history.newMessage({ ...parts, publisher: plan.index, epoch: this.session.epoch });
    this.#backlog.push(message);
    this.#sendBacklog();
  }

  subscribe(wanted: Wanted): void {
    this.subscribing.want(wanted);
    if (this.isReady && !this.subscribing.isAsking(wanted.filter)) this.#subscribe(wanted);
  }

  unsubscribe(wanted: Wanted): void {
    this.subscribing.unwant(wanted);
    if (this.isReady) this.#unsubscribe(wanted);
  }

  /** Answers nothing for a while. */
  stall(forMs: number): void {
    if (!this.#isResting) this.#stalledUntilMs = this.#parts.scheduler.nowMs + forMs;
  }

  leave({ manner, noticeMs, unawareMs, awayMs, cleanStart }: Leave): void {
    const link = this.#link;
    if (link === undefined) return;
    const { scheduler } = this.#parts;
    if (cleanStart) this.#wantsClean = true;
    this.#log(`leaves ${link.linkId}: ${manner}`);
    if (manner === "cut") {
      link.cut(noticeMs);
      scheduler.after(unawareMs, () => this.#end(link, awayMs));
      return;
    }
    if (!this.isReady || (manner === "disconnectWithWill" && this.plan.protocolVersion < 5)) return;
    link.up({ type: "disconnect", reasonCode: manner === "disconnect" ? 0 : 4 });
    link.endByClient();
    this.#end(link, awayMs);
  }

  /** A normal end, for good. */
  disconnect(): void {
    const link = this.#link;
    if (link === undefined) return;
    link.up({ type: "disconnect", reasonCode: 0 });
    link.endByClient();
    this.#link = undefined;
    this.#isReady = false;
  }

  onEnded(link: Link): void {
    if (link !== this.#link) return;
    link.isOpen = false;
    link.cut(0);
    this.#end(link, this.#isResting ? 100 : this.#parts.random.in(this.plan.comesBackMs));
  }

  onReceived(link: Link, packet: Received): void {
    if (link !== this.#link || !link.isOpen) return;
    if (packet.type === "connack") return this.#onConnack(link, packet);
    if (!this.#isReady) throw new Violation("CONNACK first", `${this.plan.clientId} gets ${packet.type}`);
    if (packet.type === "publish") return this.#onPublish(link, packet);
    if (packet.type === "pubrel") {
      this.inbound.release(packet.packetIdentifier);
      this.#answer(link, { type: "pubcomp", packetIdentifier: packet.packetIdentifier, reasonCode: 0 });
    } else if (packet.type === "puback" || packet.type === "pubrec" || packet.type === "pubcomp") {
      this.#onAcknowledged(link, packet);
    } else if (packet.type === "suback" || packet.type === "unsuback") {
      this.#onSubscribed(packet);
    } else if (packet.type === "disconnect") {
      this.#log(`< disconnect 0x${packet.reasonCode.toString(16)} ${packet.reasonString}`);
    }
  }

  #connectPacket(link: Link, receiveMaximum: number): ConnectPacket {
    const { history, plan } = this.#parts;
    const { protocolVersion, clientId, keepAliveSec, sessionExpiryIntervalSec, willQos, willDelaySec } = plan;
    const isVersion5 = protocolVersion === 5;
    // A Will may be published from the moment it is told of.
    const sentAtMs = this.#parts.scheduler.nowMs;
    const will =
      willQos === undefined
        ? undefined
        : history.newMessage({
            publisher: plan.index,
            epoch: this.session.epoch,
            topicName: `will/${plan.index}`,
            qos: willQos,
            retain: false,
            isClearing: false,
            willOf: link.record,
            sentAtMs,
          });
    this.#wantsClean ||= this.session.isDoubtful(sentAtMs);
    const cleanStart = this.#wantsClean;
    // With Clean Session the session of 3.1.1 ends with the connection.
    const endsSoon = cleanStart && !isVersion5;
    return {
      type: "connect",
      protocolVersion,
      cleanStart,
      keepAliveSec,
      clientId,
      sessionExpiryIntervalSec: endsSoon ? 0 : sessionExpiryIntervalSec,
      ...(isVersion5 && { receiveMaximum }),
      ...(will !== undefined && {
        will: {
          topicName: will.topicName,
          payload: new TextEncoder().encode(will.id),
          qos: will.qos,
          retain: false,
          willDelayIntervalSec: isVersion5 ? willDelaySec : 0,
        },
      }),
    };
  }

  #onConnack(link: Link, packet: ConnackPacket): void {
    const { plan } = this.#parts;
    this.#log(`< connack 0x${packet.reasonCode.toString(16)}${packet.sessionPresent ? " present" : ""}`);
    if (packet.reasonCode !== 0) return;
    this.#isReady = true;
    this.session.onConnack(link.record, packet.sessionPresent);
    if (!packet.sessionPresent) this.#beginSession();
    this.#wantsClean = plan.sessionExpiryIntervalSec === 0;
    if (packet.sessionPresent) for (const again of this.outbound.resend()) this.#send(link, again);
    for (const wanted of this.subscribing.unwanted) this.#unsubscribe(wanted);
    for (const wanted of this.subscribing.missing) this.#subscribe(wanted);
    this.#sendBacklog();
  }

  #beginSession(): void {
    const { history, plan } = this.#parts;
    const { epoch } = this.session;
    if (epoch > 1 && plan.isMember) history.endedSessions.add(plan.index);
    this.outbound.forget();
    this.inbound.forget();
    this.subscribing.begin(epoch);
  }

  #onPublish(link: Link, packet: ReceivedPublish): void {
    const { history, plan, scheduler } = this.#parts;
    const { message, qos, dup, retain, packetIdentifier } = packet;
    const payload = new TextDecoder().decode(message.payload);
    const flags = `${dup ? " DUP" : ""}${retain ? " RETAIN" : ""}`;
    this.#log(`< publish ${payload} to ${message.topicName}, QoS ${qos}, ${packetIdentifier}${flags}`);
    const isFresh = this.inbound.take(packet, payload);
    if (payload !== "") {
      const known = history.messages.get(payload);
      if (known === undefined || known.topicName !== message.topicName || known.sentAtMs === undefined) {
        throw new Violation("integrity", `${plan.clientId} gets ${payload} of ${message.topicName}`);
      }
      const receipt = { client: plan.index, epoch: this.session.epoch, message: known, qos, dup, retain };
      history.receipts.push({ ...receipt, atMs: scheduler.nowMs, isFresh });
    }
    if (packetIdentifier === undefined) return;
    this.#answer(link, { type: qos === 1 ? "puback" : "pubrec", packetIdentifier, reasonCode: 0 });
  }

  #onAcknowledged(link: Link, packet: PublishResponsePacket): void {
    const { type, packetIdentifier, reasonCode } = packet;
    this.#log(`< ${type} ${packetIdentifier}${reasonCode >= 0x80 ? ` 0x${reasonCode.toString(16)}` : ""}`);
    const answer = this.outbound.take(packet, this.#parts.scheduler.nowMs);
    if (answer !== undefined) this.#answer(link, answer);
    this.#sendBacklog();
  }

  #onSubscribed(packet: SubscribeResponsePacket): void {
    this.#log(`< ${packet.type} ${packet.packetIdentifier}: ${packet.reasonCodes.join()}`);
    if (this.subscribing.take(packet)) this.#askAgain();
    else this.#parts.scheduler.after(retryMs, () => this.#askAgain());
  }

  #askAgain(): void {
    if (!this.isReady) return;
    for (const wanted of this.subscribing.missing) {
      if (!this.subscribing.isAsking(wanted.filter)) this.#subscribe(wanted);
    }
  }

  #sendBacklog(): void {
    const link = this.#link;
    if (link === undefined) return;
    while (this.isReady && this.outbound.hasRoom) {
      const message = this.#backlog.shift();
      if (message === undefined) return;
      // What waited for a connection belongs to the session in which it goes out.
      message.epoch = this.session.epoch;
      message.sentAtMs = this.#parts.scheduler.nowMs;
      message.lastSentAtMs = message.sentAtMs;
      const packet = this.outbound.publish(message);
      const { id, topicName, qos, isClearing, retain } = message;
      const flags = `${retain ? " RETAIN" : ""}${isClearing ? " empty" : ""}`;
      this.#log(`> publish ${id} to ${topicName}, QoS ${qos}, ${packet.packetIdentifier}${flags}`);
      this.#send(link, packet);
    }
  }

  #subscribe(wanted: Wanted): void {
    const packet = this.subscribing.subscribe(wanted, this.outbound.newIdentifier());
    this.#log(`> subscribe ${packet.packetIdentifier}: ${wanted.filter}, QoS ${wanted.qos}`);
    this.#link?.up(packet);
  }

  #unsubscribe(wanted: Wanted): void {
    const packet = this.subscribing.unsubscribe(wanted, this.outbound.newIdentifier());
    this.#log(`> unsubscribe ${packet.packetIdentifier}: ${wanted.filter}`);
    this.#link?.up(packet);
  }

  #send(link: Link, packet: Parameters<Link["up"]>[0]): void {
    const again = packet.type === "publish" && this.outbound.messageOf(packet.packetIdentifier ?? 0);
    if (again) again.lastSentAtMs = this.#parts.scheduler.nowMs;
    link.up(packet);
  }

  /** Answers leave in the order of what they answer, each after its time. */
  #answer(link: Link, packet: PublishResponsePacket): void {
    const { random, scheduler } = this.#parts;
    const delayMs = this.#isResting ? 0 : random.in(this.plan.ackMs);
    const earliestMs = Math.max(this.#answersAtMs, this.#stalledUntilMs);
    this.#answersAtMs = Math.max(earliestMs, scheduler.nowMs + delayMs);
    scheduler.at(this.#answersAtMs, () => {
      if (link !== this.#link || !link.isOpen) return;
      this.inbound.answer(packet);
      link.up(packet);
    });
  }

  #ping(link: Link): void {
    this.#parts.scheduler.after(this.plan.keepAliveSec * 900, () => {
      if (link !== this.#link || !link.isOpen) return;
      link.up({ type: "pingreq" });
      this.#ping(link);
    });
  }

  #end(link: Link, awayMs: number): void {
    if (link !== this.#link) return;
    link.isOpen = false;
    this.#link = undefined;
    this.#isReady = false;
    this.#log(`is without ${link.linkId}`);
    this.session.onLost(this.#parts.scheduler.nowMs);
    if (this.session.endsWithConnection) this.subscribing.end();
    this.#isAway = true;
    this.#parts.scheduler.after(this.#isResting ? 100 : awayMs, () => this.#isAway && this.connect());
  }

  #log(line: string): void {
    this.#parts.history.log(`${this.plan.clientId} ${line}`);
  }
}
