/** The program `etcdutl`. */
import { Io, runProgram } from '@etcd/host/cli';
import { describeError } from './describe-error.ts';
import { ROOT } from './root.ts';

runProgram(ROOT, process.argv.slice(2), new Io(), { describe: describeError }).then(
  (code) => process.exit(code),
  (error: unknown) => {
    throw error;
  },
);
