import type { LeanClient } from "./lean-client.ts";
import type { PublishTemplate, QoS } from "./packets.ts";

/**
 * A publisher with a fixed number of messages outstanding. A message is outstanding until everyone got it and,
 * at QoS 1 and 2, the broker acknowledged it, so that the load adapts to the broker: no queue grows without end.
 */
export class Window {
  readonly #publisher: LeanClient;
  readonly #template: PublishTemplate;
  readonly #sizeMax: number;
  readonly #copies: number;
  readonly #needsAck: boolean;
  #sentCount = 0;
  #deliveredCount = 0;
  #acknowledgedCount = 0;
  #isStopped = false;

  /** `copies`: how many times `onDelivered` will be called for each message. */
  constructor(publisher: LeanClient, template: PublishTemplate, qos: QoS, sizeMax: number, copies = 1) {
    this.#publisher = publisher;
    this.#template = template;
    this.#sizeMax = sizeMax;
    this.#copies = copies;
    this.#needsAck = qos > 0;
    publisher.onAcknowledged = () => {
      this.#acknowledgedCount += 1;
      this.#fill();
    };
  }

  get deliveredCount(): number {
    return this.#deliveredCount;
  }

  start(): void {
    this.#fill();
  }

  stop(): void {
    this.#isStopped = true;
  }

  onDelivered(): void {
    this.#deliveredCount += 1;
    this.#fill();
  }

  #fill(): void {
    while (!this.#isStopped && this.#sentCount - this.#completeCount() < this.#sizeMax) {
      this.#sentCount += 1;
      this.#publisher.publish(this.#template);
    }
  }

  #completeCount(): number {
    const delivered = Math.floor(this.#deliveredCount / this.#copies);
    return this.#needsAck ? Math.min(delivered, this.#acknowledgedCount) : delivered;
  }
}

/** Publishes `templates` at QoS 1 with at most `sizeMax` unacknowledged; resolves when all are acknowledged. */
export function publishAll(
  publisher: LeanClient,
  templates: readonly PublishTemplate[],
  sizeMax: number,
): Promise<void> {
  return new Promise((resolve) => {
    let sentCount = 0;
    let acknowledgedCount = 0;
    const sendNext = (): void => {
      const template = templates[sentCount];
      if (!template) return;
      sentCount += 1;
      publisher.publish(template);
    };
    publisher.onAcknowledged = () => {
      acknowledgedCount += 1;
      if (acknowledgedCount === templates.length) resolve();
      sendNext();
    };
    for (let index = 0; index < sizeMax; index += 1) sendNext();
  });
}
