/** Numbers among the arguments of commands, with the words that Go has for bad ones. */
import { ExitError } from '@etcd/host/cli';
import { EXIT } from './exit-codes.ts';

type Read =
  | { readonly value: bigint; readonly problem?: undefined }
  | { readonly value?: undefined; readonly problem: string };

const SIGNED_MAX = 2n ** 63n - 1n;
const UNSIGNED_MAX = 2n ** 64n - 1n;

function readInteger(text: string, base: 10 | 16, isSigned: boolean): Read {
  const parser = isSigned ? 'ParseInt' : 'ParseUint';
  const problem = (what: string): Read => ({
    problem: `strconv.${parser}: parsing ${JSON.stringify(text)}: ${what}`,
  });
  const digits = isSigned ? text.replace(/^[+-]/, '') : text;
  if (!(base === 10 ? /^[0-9]+$/ : /^[0-9a-fA-F]+$/).test(digits)) return problem('invalid syntax');
  const magnitude = BigInt(base === 10 ? digits : `0x${digits}`);
  const value = text.startsWith('-') ? -magnitude : magnitude;
  const max = isSigned ? SIGNED_MAX : UNSIGNED_MAX;
  return value > max || value < -max - 1n ? problem('value out of range') : { value };
}

/** A decimal number; `describe` makes the message of what Go says is wrong. */
export function decimal(
  text: string,
  describe: (problem: string) => string,
  exitCode: number = EXIT.BAD_ARGS,
): number {
  const { value, problem } = readInteger(text, 10, true);
  if (value === undefined) throw new ExitError(exitCode, describe(problem));
  return Number(value);
}

/** The id of a lease, in hexadecimal. */
export function leaseId(text: string, what = 'bad lease ID arg'): bigint {
  const { value, problem } = readInteger(text, 16, true);
  if (value === undefined) throw new ExitError(EXIT.BAD_ARGS, `${what} (${problem}), expecting ID in Hex`);
  return value;
}

/** The id of a member, in hexadecimal. */
export function memberId(
  text: string,
  describe = (problem: string): string => `bad member ID arg (${problem}), expecting ID in Hex`,
): bigint {
  const { value, problem } = readInteger(text, 16, false);
  if (value === undefined) throw new ExitError(EXIT.BAD_ARGS, describe(problem));
  return value;
}

/** The only argument of a command. */
export function onlyArgument(args: readonly string[], message: string): string {
  const [argument] = args;
  if (args.length !== 1 || argument === undefined) throw new ExitError(EXIT.BAD_ARGS, message);
  return argument;
}

export function noArguments(args: readonly string[], message: string): void {
  if (args.length > 0) throw new ExitError(EXIT.BAD_ARGS, message);
}
