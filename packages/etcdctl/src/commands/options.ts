/** `etcdctl options`. */
import { type Command, flagUsages } from '@etcd/host/cli';
import { GLOBAL_FLAGS } from '../global-flags.ts';
import { GROUP } from '../groups.ts';

export const OPTIONS: Command = {
  name: 'options',
  usage: '',
  summary: 'Lists the flags that every command has',
  group: GROUP.UTILITY,
  run({ io }) {
    io.out(`The following options can be passed to any command:\n\n${flagUsages(GLOBAL_FLAGS)}`);
  },
};
