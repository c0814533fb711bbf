/** Files that a member does not need any more are removed, as many as its configuration says. */
import { snapDirectory, walDirectory } from '@etcd/storage/data';
import { memberPurgeTargets, PurgeLoop } from '@etcd/storage/snap';
import type { EtcdServerOptions } from './etcd-server-options.ts';

export function newPurgeLoop(
  { config, clock, disk, logger }: EtcdServerOptions,
  onError: (error: Error) => void,
): PurgeLoop {
  return new PurgeLoop({
    disk,
    clock,
    logger: logger.child({ caller: 'storage/purge' }),
    targets: memberPurgeTargets({ snap: snapDirectory(config), wal: walDirectory(config) }, config),
    onError,
  });
}
