/** A broker under test: a child process that accepts MQTT over WebSocket at `url`. */
export interface RunningBroker {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Knows how to start one kind of broker. `unavailableReason` says why it cannot run here, if it cannot. */
export interface BrokerKind {
  readonly name: string;
  unavailableReason(): string | undefined;
  start(): Promise<RunningBroker>;
}
