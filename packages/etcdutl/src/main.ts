/** The program `etcdutl`. */
import { exitAtOnce } from '@etcd/base/node';
import { Io, runProgram } from '@etcd/host/cli';
import { describeError } from './describe-error.ts';
import { hintFor } from './hints.ts';
import { ROOT } from './root.ts';

runProgram(ROOT, process.argv.slice(2), new Io(), { describe: describeError, hint: hintFor }).then(
  (code) => exitAtOnce(code),
  (error: unknown) => {
    throw error;
  },
);
