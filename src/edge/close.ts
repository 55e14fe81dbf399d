/** What a WebSocket is closed with (RFC 6455, section 7.4), on its way from one end of a relay to the other. */
export interface Close {
  readonly code: number;
  readonly reason: string;
}

export const closes = {
  noConnect: { code: 1002, reason: "There was no CONNECT" },
  unfinished: { code: 1002, reason: "A packet was not completed" },
  internalError: { code: 1011, reason: "Internal error" },
  /** "Service Restart": the client may come back at once. */
  shardLost: { code: 1012, reason: "The shard was lost" },
  /** "Try Again Later". */
  shardBusy: { code: 1013, reason: "Too many clients are waiting to be admitted" },
  tooMuchWaiting: { code: 1013, reason: "Too much is waiting" },
  clientLost: { code: 4006, reason: "The client was lost" },
} as const satisfies Record<string, Close>;

const normalClosure = 1000;
const noStatusReceived = 1005;
/** The connection broke: there was no close frame. */
export const abnormalClosure = 1006;

/** Codes that say how a connection ended, and cannot be sent. */
const unsendable: readonly number[] = [1004, noStatusReceived, abnormalClosure, 1015];

export function closeForShard(close: Close): Close {
  return sendable(close) ?? closes.clientLost;
}

export function closeForClient(close: Close): Close {
  return sendable(close) ?? closes.shardLost;
}

function sendable({ code, reason }: Close): Close | undefined {
  if (code === noStatusReceived) return { code: normalClosure, reason: "" };
  if (code < 1000 || code >= 5000 || unsendable.includes(code)) return undefined;
  return { code, reason };
}
