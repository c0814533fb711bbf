/** A command line as it may be logged: the values of flags that hold secrets are taken out. */
import { FLAG_TABLE } from './flag-table.ts';

export function maskArguments(args: readonly string[]): string[] {
  let hidesNext = false;
  return args.map((argument) => {
    if (hidesNext) {
      hidesNext = false;
      return '***';
    }
    const match = /^--?([^=]+)(=)?/.exec(argument);
    if (match === null || FLAG_TABLE.get(match[1]!)?.secret !== true) return argument;
    if (match[2] === undefined) hidesNext = true;
    return match[2] === undefined ? argument : `${match[0]}***`;
  });
}
