/** `etcdctl version`. */
import type { Command } from '@etcd/host/cli';
import { GROUP } from '../groups.ts';

const ETCDCTL_VERSION = '3.7.3';
const API_VERSION = '3.7';

export const VERSION: Command = {
  name: 'version',
  usage: '',
  summary: 'Prints the version of etcdctl',
  group: GROUP.UTILITY,
  run({ io }) {
    io.line(`etcdctl version: ${ETCDCTL_VERSION}`);
    io.line(`API version: ${API_VERSION}`);
  },
};
