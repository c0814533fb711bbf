/** The program `etcdadm`, and what it is when it is called `kubeadm`. */
import { exitAtOnce } from '@etcd/base/node';
import { type Command, Io, runProgram } from '@etcd/host/cli';
import { BACKUP } from './backup/commands.ts';
import { RESTORE } from './backup/restore.ts';

/** Set by the script that starts this: the name under which it was called. */
const CALLED_AS = 'ETCDADM_CALLED_AS';

const words = process.argv.slice(2);

/** Backups are made on hosts that have little to spare: what else this program can do is not even loaded then. */
async function rootOf(calledAs: string | undefined, first: string | undefined): Promise<Command> {
  const alone = [BACKUP, RESTORE].find(({ name }) => name === first);
  if (calledAs !== 'kubeadm' && alone !== undefined) {
    return { name: 'etcdadm', usage: '', summary: '', commands: [alone] };
  }
  const { ETCDADM, KUBEADM } = await import('./root.ts');
  return calledAs === 'kubeadm' ? KUBEADM : ETCDADM;
}

rootOf(process.env[CALLED_AS], words[0])
  .then((root) => runProgram(root, words, new Io()))
  .then(
    (code) => exitAtOnce(code),
    (error: unknown) => {
      throw error;
    },
  );
