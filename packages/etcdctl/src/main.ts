/** The program `etcdctl`. */
import { exitAtOnce } from '@etcd/base/node';
import { Io, runProgram } from '@etcd/host/cli';
import { describeError } from './describe-error.ts';
import { hintFor } from './hints.ts';
import { ROOT } from './root.ts';
import { wordsOfProcess } from './words.ts';

const HELP_ENDING =
  'Use "etcdctl options" for a list of global command-line options (applies to all commands).';

/** As the tool of the API before this one took it, alone: documents ask for the version so. */
const VERSION_FLAGS = ['-v', '--version'];

const words = wordsOfProcess(process.argv);
const asksVersion = words.length === 1 && VERSION_FLAGS.includes(words[0]!);
const options = { helpEnding: HELP_ENDING, describe: describeError, hint: hintFor };
// Whatever is still open (connections, timers) is of no use any more.
runProgram(ROOT, asksVersion ? ['version'] : words, new Io(), options).then(
  (code) => exitAtOnce(code),
  (error: unknown) => {
    throw error;
  },
);
