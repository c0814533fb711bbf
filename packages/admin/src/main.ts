/** The program `etcdadm`, and what it is when it is called `kubeadm`. */
import { Io, runProgram } from '@etcd/host/cli';
import { ETCDADM, KUBEADM } from './root.ts';

/** Set by the script that starts this: the name under which it was called. */
const CALLED_AS = 'ETCDADM_CALLED_AS';

const root = process.env[CALLED_AS] === 'kubeadm' ? KUBEADM : ETCDADM;

runProgram(root, process.argv.slice(2), new Io()).then(
  (code) => process.exit(code),
  (error: unknown) => {
    throw error;
  },
);
