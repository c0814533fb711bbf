/** `etcdutl version`. */
import type { Command } from '@etcd/host/cli';

const ETCDUTL_VERSION = '3.7.3';
const API_VERSION = '3.7';

export const VERSION: Command = {
  name: 'version',
  usage: '',
  summary: 'Prints the version of etcdutl',
  run({ io }) {
    io.line(`etcdutl version: ${ETCDUTL_VERSION}`);
    io.line(`API version: ${API_VERSION}`);
  },
};
