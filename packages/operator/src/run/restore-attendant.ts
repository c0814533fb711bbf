/** Attends to one restore: makes its cluster where there is none, and tells how it goes. What is done to the cluster, the cluster's own attendant does. */
import { ApiError, describeError } from '../kubernetes/api.ts';
import type { OwnObject } from '../kubernetes/backup-objects.ts';
import { CLUSTERS, RESTORES } from '../kubernetes/collections.ts';
import { isSettled } from '../kubernetes/restore-objects.ts';
import { API_VERSION } from '../resources/group.ts';
import { parseRestoreSpec } from '../resources/restore-spec.ts';
import type { OwnAttendantOptions } from './backup-attendant.ts';
import { StatusWriter } from './status-writer.ts';

const POLL_MS = 5_000;
const RETRY_MS = 15_000;

export class RestoreAttendant {
  readonly #options: OwnAttendantOptions;
  readonly #status: StatusWriter;

  constructor(options: OwnAttendantOptions) {
    this.#options = options;
    this.#status = new StatusWriter(options.api, RESTORES, options.logger);
  }

  /** Does one thing, if there is one; returns when to come again, null: not before something changes. */
  async attend(): Promise<number | null> {
    const { namespace, name, caches, api, logger } = this.#options;
    const restore = caches.restore(namespace, name);
    if (restore === null || isSettled(restore) || restore.metadata?.deletionTimestamp !== undefined)
      return null;
    const parsed = parseRestoreSpec(restore.spec);
    if (!parsed.ok) {
      const problems = parsed.problems.map(({ field, problem }) => `${field} ${problem}`);
      return (await this.#tell(restore, 'Failed', problems.join('; '))) ? null : RETRY_MS;
    }
    const { clusterName, clusterTemplate } = parsed.spec;
    if (caches.cluster(namespace, clusterName) !== null) {
      await this.#tell(restore, 'Restoring', `the cluster ${clusterName} says how it goes`);
      return POLL_MS;
    }
    if (clusterTemplate === null) {
      await this.#tell(restore, 'Pending', `there is no cluster ${clusterName} yet, and no clusterTemplate`);
      return null;
    }
    try {
      const metadata = { name: clusterName, namespace };
      const cluster = { apiVersion: API_VERSION, kind: 'EtcdCluster', metadata, spec: clusterTemplate };
      await api.create(CLUSTERS, namespace, cluster);
      return POLL_MS;
    } catch (error) {
      // There already, and not in the cache yet.
      if (error instanceof ApiError && error.code === 409) return POLL_MS;
      logger.warn('could not make the cluster', { error: describeError(error) });
      await this.#tell(restore, 'Pending', describeError(error));
      return RETRY_MS;
    }
  }

  async #tell(restore: OwnObject, phase: string, message: string): Promise<boolean> {
    return await this.#status.write(restore, { phase, message });
  }
}
