/** `grpc-timeout`: at most eight digits and a unit. */
import { quote } from './status.ts';

const MAX_LENGTH = 9;
const MAX_DIGITS_VALUE = 99_999_999;

const MS_PER_UNIT: ReadonlyMap<string, number> = new Map([
  ['n', 1e-6],
  ['u', 1e-3],
  ['m', 1],
  ['S', 1000],
  ['M', 60_000],
  ['H', 3_600_000],
]);

/** Longest time that is told apart from forever: some timers take no more. */
export const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Milliseconds, or -1 when {@link timeoutError} says why not. */
export function parseTimeout(text: string): number {
  const digitCount = text.length - 1;
  if (digitCount < 1 || text.length > MAX_LENGTH) return -1;
  let value = 0;
  for (let i = 0; i < digitCount; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  const msPerUnit = MS_PER_UNIT.get(text[digitCount]!);
  return msPerUnit === undefined ? -1 : value * msPerUnit;
}

/** What is wrong with a timeout that {@link parseTimeout} refuses, in the words of grpc-go. */
export function timeoutError(text: string): string {
  if (text.length < 2)
    return `malformed grpc-timeout: transport: timeout string is too short: ${quote(text)}`;
  if (text.length > MAX_LENGTH) {
    return `malformed grpc-timeout: transport: timeout string is too long: ${quote(text)}`;
  }
  if (!MS_PER_UNIT.has(text.slice(-1))) {
    return `malformed grpc-timeout: transport: timeout unit is not recognized: ${quote(text)}`;
  }
  return `malformed grpc-timeout: strconv.ParseUint: parsing ${quote(text.slice(0, -1))}: invalid syntax`;
}

/** The shortest way to say at least `timeoutMs`, as precise as eight digits allow. */
export function formatTimeout(timeoutMs: number): string {
  if (timeoutMs <= 0) return '0n';
  for (const [unit, msPerUnit] of MS_PER_UNIT) {
    const value = Math.ceil(timeoutMs / msPerUnit);
    if (value <= MAX_DIGITS_VALUE) return `${value}${unit}`;
  }
  return `${MAX_DIGITS_VALUE}H`;
}
