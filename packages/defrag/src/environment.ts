/** Flags that the environment gives: `ETCD_DEFRAG_MOVE_LEADER` for `--move-leader`. The command line wins. */
import { ExitError, type Invocation } from '@etcd/host/cli';

const PREFIX = 'ETCD_DEFRAG_';

export function applyEnvironment({ flags, io }: Invocation): void {
  for (const { name } of flags.definitions) {
    const variable = PREFIX + name.toUpperCase().replaceAll('-', '_');
    const value = io.env[variable];
    if (value === undefined || value === '' || flags.isSet(name)) continue;
    const problem = flags.set(name, value);
    if (problem !== '') throw new ExitError(1, `${variable}: ${problem}`);
  }
}
