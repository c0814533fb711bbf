/**
 * A program with commands on a command line, which is read as Go's cobra and pflag read it: flags anywhere before `--`, in
 * the spellings `--flag value`, `--flag=value`, `-f value` and `-fvalue`, commands by any prefix that only one of them has, errors
 * in their words. A program is a tree of {@link Command}s, values all the way down, so that help and completion come from
 * the same tree that is run; {@link runProgram} runs it.
 *
 * A command reports failure by throwing an {@link ExitError}; anything else that it throws ends the program with code 1.
 * Output goes through {@link Io}, which writes at once and in order.
 */
export type { Command, Invocation } from './command.ts';
export { completionCommand } from './completion-command.ts';
export {
  CONNECTION_FLAGS,
  connectionOptions,
  endpointsFrom,
  namedCredentials,
  type TlsMaterial,
  tlsFrom,
} from './connection-flags.ts';
export { ExitError } from './exit-error.ts';
export { type FlagDefinition, type FlagValues, parseFlags } from './flag-set.ts';
export { goQuote, goQuoteBytes } from './go-quote.ts';
export { flagUsages } from './help.ts';
export { humanBytes } from './human-bytes.ts';
export { Io } from './io.ts';
export { Progress } from './progress.ts';
export { askSecret } from './prompt.ts';
export { runProgram } from './run-program.ts';
export { StreamGarbage } from './stream-garbage.ts';
export { drawCommaRows, drawTable, type Rows } from './table.ts';
export { NO_TERMINAL, type Terminal } from './terminal.ts';
