/** What AWS IoT Core asks, us-east-1, as of 2026-11: aws.amazon.com/iot-core/pricing and its "additional details". */
export const awsPricesOf = "2026-11";

const million = 1e6;
const billion = 1e9;

/** Dollars for a million; pings, CONNACK, SUBACK and PUBACK of the service cost nothing. */
export const awsPrices = {
  connectionMinutes: 0.08,
  /** Each price holds for so many messages, then the next one does. */
  messages: [
    { upTo: billion, perMillion: 1 },
    { upTo: 5 * billion, perMillion: 0.8 },
    { upTo: Infinity, perMillion: 0.7 },
  ],
  /** A larger message counts as several. */
  messageUnitBytes: 5 * 1024,
} as const;

/** A month of it. */
export interface AwsUsage {
  readonly connectionMinutes: number;
  /** Published and delivered; a PUBACK of a device counts, too. */
  readonly messages: readonly { readonly count: number; readonly bytes: number }[];
}

export function awsMonthly({ connectionMinutes, messages }: AwsUsage): number {
  const units = messages.reduce((sum, { bytes, count }) => sum + count * unitsOf(bytes), 0);
  return (connectionMinutes / million) * awsPrices.connectionMinutes + messagesPrice(units);
}

function unitsOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / awsPrices.messageUnitBytes));
}

function messagesPrice(units: number): number {
  let from = 0;
  let price = 0;
  for (const { perMillion, upTo } of awsPrices.messages) {
    price += (Math.max(0, Math.min(units, upTo) - from) / million) * perMillion;
    from = upTo;
  }
  return price;
}
