/** All commands of etcdadm. */
import { type Command, completionCommand } from '@etcd/host/cli';
import { BACKUP } from './backup/commands.ts';
import { RESTORE } from './backup/restore.ts';
import { CERTS } from './certs/commands.ts';
import { CLUSTER_COMMANDS } from './cluster/commands.ts';
import { DOCTOR } from './doctor/commands.ts';
import { KUBEADM_COMMANDS } from './kubeadm/commands.ts';
import { MEMBER } from './member/commands.ts';
import { MIGRATE } from './migrate/commands.ts';

export const KUBEADM: Command = {
  name: 'kubeadm',
  usage: '',
  summary: 'The part of kubeadm that sets up an etcd',
  commands: [...KUBEADM_COMMANDS, completionCommand('kubeadm')],
};

export const ETCDADM: Command = {
  name: 'etcdadm',
  usage: '',
  summary: 'Sets up and looks after clusters of etcd',
  commands: [
    ...CLUSTER_COMMANDS,
    MEMBER,
    CERTS,
    DOCTOR,
    MIGRATE,
    BACKUP,
    RESTORE,
    { name: 'kubeadm', usage: '', summary: KUBEADM.summary, commands: KUBEADM_COMMANDS },
    completionCommand('etcdadm'),
  ],
};
