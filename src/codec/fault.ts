/** Why a client's bytes are refused. Faults travel as exceptions inside the codec and never leave it. */
import type { ProtocolVersion } from "../core/packet.ts";
import { ReasonCode } from "../core/reason-code.ts";

/** What was wrong with the bytes of a client, in the terms of CONNACK and DISCONNECT. */
export interface DecodeFault {
  readonly reasonCode: ReasonCode;
  /** English, for logs and for the Reason String property; holds nothing that the client sent. */
  readonly reasonString: string;
  /** Set when a CONNECT was read far enough to know in which version to answer it. */
  readonly protocolVersion?: ProtocolVersion;
}

/** Carries a fault from the place that finds it to the packet decoder. */
export class FaultError extends Error {
  readonly fault: DecodeFault;

  constructor(fault: DecodeFault) {
    super(fault.reasonString);
    this.fault = fault;
  }
}

/** The bytes can't be parsed by the rules of the specification ([MQTT-4.13.1-1]). */
export function malformed(reasonString: string): FaultError {
  return new FaultError({ reasonCode: ReasonCode.MalformedPacket, reasonString });
}

/** The packet parses, but says what the protocol doesn't allow. */
export function protocolError(reasonString: string): FaultError {
  return new FaultError({ reasonCode: ReasonCode.ProtocolError, reasonString });
}

/** A fault with a more telling Reason Code than Malformed Packet and Protocol Error. */
export function refusal(reasonCode: ReasonCode, reasonString: string): FaultError {
  return new FaultError({ reasonCode, reasonString });
}
