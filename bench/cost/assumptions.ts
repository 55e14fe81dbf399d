/** What can neither be counted nor measured here. */
export const assumptions = {
  /** A client answers so much after it was sent something. */
  answerMs: 50,
  /** A call between two shards, there and back. */
  callMs: 10,
  /** Until a write is confirmed; the object is awake so long. */
  commitMs: 10,
  /** For so long after an event the zero timer keeps the object awake that joins it with the next ones. */
  turnMs: 1,
  /** Each client leaves, comes back and subscribes again once in so long. */
  connectIntervalSec: 86_400,
  /** Of the Worker. */
  cpuMsPerConnect: 2,
  /** Sessions, queues and retained messages of all of these loads are a few megabytes. */
  storedGb: 0.1,
} as const;
