/** The program `etcd-operator`. */
import { Io, runProgram } from '@etcd/host/cli';
import { ROOT } from './root.ts';

runProgram(ROOT, process.argv.slice(2), new Io()).then(
  (code) => process.exit(code),
  (error: unknown) => {
    throw error;
  },
);
