/** Attends to one backup: has its worker made, and tells what came of it. */
import type { Logger } from '@etcd/base';
import type { V1Pod } from '@kubernetes/client-node';
import { decideBackup } from '../backup/decide-backup.ts';
import { describeError, type KubernetesApi } from '../kubernetes/api.ts';
import { backupStatusObject, type OwnObject, seenBackup } from '../kubernetes/backup-objects.ts';
import { type BackedUpCluster, backupWorker } from '../kubernetes/backup-worker.ts';
import type { Caches } from '../kubernetes/caches.ts';
import { BACKUPS, PODS } from '../kubernetes/collections.ts';
import { WORK_LABEL } from '../kubernetes/worker-pods.ts';
import { parseBackupSpec } from '../resources/backup-spec.ts';
import { StatusWriter } from './status-writer.ts';

const AFTER_ACTION_MS = 1_000;
const RETRY_MS = 15_000;

export interface OwnAttendantOptions {
  readonly namespace: string;
  readonly name: string;
  readonly api: KubernetesApi;
  readonly caches: Caches;
  readonly gateImage: string;
  readonly logger: Logger;
  readonly nowMs: () => number;
}

export class BackupAttendant {
  readonly #options: OwnAttendantOptions;
  readonly #status: StatusWriter;

  constructor(options: OwnAttendantOptions) {
    this.#options = options;
    this.#status = new StatusWriter(options.api, BACKUPS, options.logger);
  }

  /** Does one thing, if there is one; returns when to come again, null: not before something changes. */
  async attend(): Promise<number | null> {
    const { namespace, name, caches, api, nowMs } = this.#options;
    const cached = caches.backup(namespace, name);
    if (cached === null) return null;
    const pods = caches.workersOf(cached);
    const first = decideBackup(seenBackup(cached, pods, this.#cluster(cached) !== null, nowMs()));
    if (first.action === null) return (await this.#tell(cached, first.status)) ? first.againMs : RETRY_MS;
    const backup = await api.read<OwnObject>(BACKUPS, namespace, name);
    if (backup === null) return null;
    const all = await api.list<V1Pod>(PODS, namespace, `${WORK_LABEL}=backup`);
    const own = all.items.filter(({ metadata }) =>
      metadata?.ownerReferences?.some(({ uid }) => uid === backup.metadata?.uid),
    );
    const cluster = this.#cluster(backup);
    const { action, status, againMs } = decideBackup(seenBackup(backup, own, cluster !== null, nowMs()));
    if (!(await this.#tell(backup, status))) return RETRY_MS;
    if (action === null) return againMs;
    try {
      if (action.kind === 'delete-worker')
        await api.delete(PODS, namespace, action.name, { preconditions: { uid: action.uid } });
      else if (cluster !== null) await this.#createWorker(backup, action.attempt, cluster);
      return AFTER_ACTION_MS;
    } catch (error) {
      const fields = { action: action.kind, error: describeError(error) };
      this.#options.logger.warn('could not act', fields);
      await this.#tell(backup, { ...status, message: describeError(error) });
      return RETRY_MS;
    }
  }

  async #createWorker(backup: OwnObject, attempt: number, cluster: BackedUpCluster): Promise<void> {
    const { api, namespace, gateImage, logger } = this.#options;
    const parsed = parseBackupSpec(backup.spec);
    if (!parsed.ok) return;
    const pod = backupWorker(backup, parsed.spec, attempt, cluster, gateImage);
    await api.create(PODS, namespace, pod);
    logger.info('a worker was made', { worker: pod.metadata?.name });
  }

  #tell(backup: OwnObject, status: Parameters<typeof backupStatusObject>[0]): Promise<boolean> {
    const generation = backup.metadata?.generation ?? 0;
    return this.#status.write(backup, backupStatusObject(status, generation));
  }

  #cluster({ spec }: OwnObject): BackedUpCluster | null {
    const parsed = parseBackupSpec(spec);
    if (!parsed.ok) return null;
    return this.#options.caches.backedUp(this.#options.namespace, parsed.spec.clusterName);
  }
}
