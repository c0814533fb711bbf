/** Writes the status of a resource where it says something new. */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '@etcd/base';
import { describeError, type KubernetesApi } from '../kubernetes/api.ts';
import type { OwnObject } from '../kubernetes/backup-objects.ts';
import type { Collection } from '../kubernetes/collections.ts';

export class StatusWriter {
  readonly #api: KubernetesApi;
  readonly #collection: Collection;
  readonly #logger: Logger;
  #last: object | null = null;

  constructor(api: KubernetesApi, collection: Collection, logger: Logger) {
    this.#api = api;
    this.#collection = collection;
    this.#logger = logger;
  }

  /** False: it could not be written, or the resource has changed since. */
  async write({ metadata, status: before }: OwnObject, status: object): Promise<boolean> {
    if (isDeepStrictEqual(status, this.#last) || isDeepStrictEqual(status, before)) return true;
    const { namespace = '', name = '' } = metadata ?? {};
    try {
      // What is old says nothing about a resource that has come to its end meanwhile.
      const change = [
        { op: 'test', path: '/metadata/resourceVersion', value: metadata?.resourceVersion },
        { op: 'add', path: '/status', value: status },
      ] as const;
      await this.#api.patch(this.#collection, namespace, name, change, 'status');
      this.#last = status;
      return true;
    } catch (error) {
      this.#logger.warn('could not write the status', { error: describeError(error) });
      return false;
    }
  }
}
