/** What memory knows of retained messages in storage; the messages themselves are read when they are wanted. */
import type { RetainedName } from "../storage-port.ts";
import { utf8BytesMax } from "../publication.ts";

/** A Topic Name with a retained message, or one that was cleared while storage still holds older messages of it. */
export class RetainedTopic {
  readonly topicName: string;
  expiresAtMs: number | undefined;
  /** The block with its newest state as written: the message, or that there is none. */
  block: RetainedBlock | undefined;
  /** About what that state takes in the block. */
  sizeBytes = 0;
  /** As written: there is no message. */
  isCleared = false;
  /** Blocks in storage with a message of the topic, superseded ones included. */
  copyCount = 0;

  constructor(topicName: string) {
    this.topicName = topicName;
  }

  get name(): RetainedName {
    const { expiresAtMs, sizeBytes, topicName } = this;
    return { topicName, sizeBytes, ...(expiresAtMs !== undefined && { expiresAtMs }) };
  }
}

/** One row of retained messages. It is written whole and never changed: its slot gets another block. */
export class RetainedBlock {
  readonly slot: number;
  /** Of two blocks with a topic, the one of the higher number is right. */
  readonly seq: number;
  /** Whose messages are in it, in their order; some of them have been superseded. */
  readonly topics: RetainedTopic[] = [];
  /** Of which it says that there is no message. */
  readonly cleared: RetainedTopic[] = [];
  totalBytes = 0;
  /** Of what has not been superseded. */
  liveBytes = 0;

  constructor(slot: number, seq: number) {
    this.slot = slot;
    this.seq = seq;
  }

  get deadBytes(): number {
    return this.totalBytes - this.liveBytes;
  }
}

/** About what it takes to say that a topic has no message. */
export function clearedBytesOf(topicName: string): number {
  return 8 + utf8BytesMax(topicName);
}
