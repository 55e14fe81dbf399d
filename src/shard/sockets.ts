import { encodePacket, PublishEncoder } from "../codec/index.ts";
import type { CostMeter } from "../core/cost/cost-meter.ts";
import type { CloseCode, ConnectionAttachment, Effect } from "../core/effect.ts";
import { unadmittedSocketsMax } from "../core/limits.ts";
import { ReasonCode } from "../core/reason-code.ts";
import type { ClientSocket } from "./client-socket.ts";
import { UnsentSockets } from "./unsent-sockets.ts";

export type SocketEffect = Effect & { type: "send" | "deliver" | "close" | "attach" };

/** The clients' sockets, and what the core has for them. */
export class Sockets {
  readonly unsent = new UnsentSockets();
  readonly traffic = { bytesReceived: 0, bytesSent: 0 };
  readonly #encoder = new PublishEncoder();
  readonly #cost: CostMeter;
  readonly #byId = new Map<string, ClientSocket>();
  /** Whose client is not admitted, or has not been for as long as is known here. */
  readonly #unadmitted = new Set<string>();
  /** Connections for which an effect failed. */
  readonly #broken = new Set<string>();

  constructor(cost: CostMeter) {
    this.#cost = cost;
  }

  values(): Iterable<ClientSocket> {
    return this.#byId.values();
  }

  /** One more may wait to be admitted. */
  get hasRoom(): boolean {
    return this.#unadmitted.size < unadmittedSocketsMax;
  }

  get(connectionId: string): ClientSocket | undefined {
    return this.#byId.get(connectionId);
  }

  add(socket: ClientSocket): void {
    this.#byId.set(socket.connectionId, socket);
    if (socket.attachment?.client === undefined) this.#unadmitted.add(socket.connectionId);
  }

  /** The socket as it is known, from now on at the latest. */
  wake(socket: ClientSocket): ClientSocket {
    const known = this.get(socket.connectionId);
    if (known !== undefined) return known;
    this.add(socket);
    this.#cost.noteWoken(socket.connectionId, socket.restoredCost);
    return socket;
  }

  /** The connections of all sockets that may have one: of those that are known, then of others, woken when come to. */
  *attachments(
    others: Iterable<ClientSocket>,
  ): Iterable<readonly [connectionId: string, attachment: ConnectionAttachment]> {
    // Also those whose close is being handled, which are not among the platform's any more.
    const known = new Set(this.values());
    for (const { connectionId, attachment } of known) {
      if (attachment !== undefined) yield [connectionId, attachment];
    }
    for (const found of others) {
      const socket = this.wake(found);
      if (known.has(socket) || socket.attachment === undefined) continue;
      yield [socket.connectionId, socket.attachment];
    }
  }

  forget(socket: ClientSocket): void {
    this.#byId.delete(socket.connectionId);
    this.#unadmitted.delete(socket.connectionId);
    this.unsent.forget(socket);
    this.#cost.release(socket.connectionId);
  }

  /** What fails for one connection ends that one only. */
  carryOut(effect: SocketEffect): void {
    const { connectionId } = effect;
    try {
      if (effect.type === "send")
        this.write(connectionId, encodePacket(effect.packet, effect.protocolVersion));
      else if (effect.type === "deliver")
        this.write(connectionId, this.#encoder.encode(effect.delivery, effect.protocolVersion));
      else if (effect.type === "close") this.close(connectionId, effect.code, effect.reason);
      else this.#attach(connectionId, effect.attachment);
    } catch (error) {
      console.error(`duramq: "${effect.type}" failed`, error);
      this.#broken.add(connectionId);
    }
  }

  write(connectionId: string, bytes: Uint8Array): void {
    const socket = this.get(connectionId);
    if (socket === undefined) return;
    socket.write(bytes);
    this.traffic.bytesSent += bytes.length;
    this.unsent.add(socket);
  }

  close(connectionId: string, code: CloseCode, reason: string): void {
    const socket = this.get(connectionId);
    if (socket === undefined) return;
    socket.close(code, reason);
    this.forget(socket);
  }

  /** Ends a connection that the core has forgotten. */
  dismiss(connectionId: string): void {
    if (this.get(connectionId)?.attachment?.client?.protocolVersion === 5) {
      const reasonCode = ReasonCode.ImplementationSpecificError;
      this.write(connectionId, encodePacket({ type: "disconnect", reasonCode }, 5));
    }
    this.close(connectionId, 1011, "Internal error");
  }

  sendAll(nowMs: number): void {
    this.unsent.sendAll(({ connectionId }) => void this.#broken.add(connectionId), nowMs);
  }

  /** What was to leave never will: who waits for it is not left waiting. */
  noteUnanswered(effect: Effect): void {
    if ("connectionId" in effect) this.#broken.add(effect.connectionId);
  }

  get hasBroken(): boolean {
    return this.#broken.size > 0;
  }

  takeBroken(): string[] {
    const connectionIds = [...this.#broken];
    this.#broken.clear();
    return connectionIds;
  }

  #attach(connectionId: string, attachment: ConnectionAttachment): void {
    this.get(connectionId)?.attach(attachment, this.#cost.shareOf(connectionId));
    if (attachment.client !== undefined) this.#unadmitted.delete(connectionId);
  }
}
