/** CONNACK of MQTT 3.x, whose return codes are fewer than the Reason Codes of 5.0. */
import { ReasonCode } from "../core/reason-code.ts";

const UNACCEPTABLE_PROTOCOL_VERSION = 1;
const IDENTIFIER_REJECTED = 2;
const SERVER_UNAVAILABLE = 3;
const BAD_USER_NAME_OR_PASSWORD = 4;
const NOT_AUTHORIZED = 5;

const RETURN_CODES: Readonly<Partial<Record<ReasonCode, number>>> = {
  [ReasonCode.Success]: 0,
  [ReasonCode.UnsupportedProtocolVersion]: UNACCEPTABLE_PROTOCOL_VERSION,
  [ReasonCode.ClientIdentifierNotValid]: IDENTIFIER_REJECTED,
  [ReasonCode.BadUserNameOrPassword]: BAD_USER_NAME_OR_PASSWORD,
  [ReasonCode.NotAuthorized]: NOT_AUTHORIZED,
  [ReasonCode.Banned]: NOT_AUTHORIZED,
  [ReasonCode.BadAuthenticationMethod]: NOT_AUTHORIZED,
};

/** The return code, 0–5, that comes closest to `reasonCode`: "server unavailable" for all but a few. */
export function connackReturnCode(reasonCode: ReasonCode): number {
  return RETURN_CODES[reasonCode] ?? SERVER_UNAVAILABLE;
}
