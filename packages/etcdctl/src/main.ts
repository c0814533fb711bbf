/** The program `etcdctl`. */
import { Io, runProgram } from '@etcd/host/cli';
import { describeError } from './describe-error.ts';
import { hintFor } from './hints.ts';
import { ROOT } from './root.ts';
import { wordsOfProcess } from './words.ts';

const HELP_ENDING =
  'Use "etcdctl options" for a list of global command-line options (applies to all commands).';

const options = { helpEnding: HELP_ENDING, describe: describeError, hint: hintFor };
// Whatever is still open (connections, timers) is of no use any more.
runProgram(ROOT, wordsOfProcess(process.argv), new Io(), options).then(
  (code) => process.exit(code),
  (error: unknown) => {
    throw error;
  },
);
