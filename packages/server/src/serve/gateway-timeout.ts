/** How long a caller of the gateway waits, by the header `grpc-timeout`: digits and a unit. More digits than in gRPC itself may stand there. */

export const TIMEOUT_HEADER = 'grpc-timeout';
export const NO_TIMEOUT = Number.POSITIVE_INFINITY;

const FORM = /^([+-]?\d+)([HMSmun])$/;
const MS_PER_UNIT: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
/** Go counts in 64 bits. */
const MAX_COUNT = 2n ** 63n - 1n;

/** Milliseconds, {@link NO_TIMEOUT} where there is none, null where it is no time. One that is over already is so, and none at 0. */
export function gatewayTimeout(text: string): number | null {
  if (text === '') return NO_TIMEOUT;
  const [, digits = '', unit = ''] = FORM.exec(text) ?? [];
  if (digits === '') return null;
  const count = BigInt(digits.replace('+', ''));
  if (count > MAX_COUNT || count < -MAX_COUNT - 1n) return null;
  return count === 0n ? NO_TIMEOUT : Number(count) * MS_PER_UNIT[unit]!;
}
