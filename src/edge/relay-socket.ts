/** What a relay needs of a WebSocket of the runtime. */
export interface RelaySocket {
  binaryType: string;
  /** Bytes sent and not yet taken by the peer; newer runtimes tell, workerd 1.20261023 does not. */
  readonly bufferedAmount?: number;
  accept(options: { readonly allowHalfOpen: boolean }): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(
    type: "close",
    listener: (event: { readonly code: number; readonly reason: string }) => void,
  ): void;
  addEventListener(type: "error", listener: () => void): void;
  send(data: Uint8Array | string): void;
  close(code: number, reason: string): void;
}

/** What a WebSocket message brings under the binary type "arraybuffer". */
export type Frame = ArrayBuffer | string;
