/** The operator at work: caches, a queue of clusters, and an attendant for each. */
import type { Logger } from '@etcd/base';
import type { Action } from '../cluster/action.ts';
import type { KubernetesApi } from '../kubernetes/api.ts';
import { Caches } from '../kubernetes/caches.ts';
import { Platform } from '../kubernetes/platform.ts';
import { Attendant } from './attendant.ts';
import { Queue } from './queue.ts';

const MAX_CONCURRENT = 8;
/** After something unforeseen. */
const RETRY_MS = 30_000;

export interface ControllerOptions {
  readonly api: KubernetesApi;
  /** null: all. */
  readonly namespace: string | null;
  readonly gateImage: string;
  readonly logger: Logger;
  readonly nowMs?: (() => number) | undefined;
  readonly endpointOf?: ((cluster: string, ordinal: number) => string) | undefined;
  readonly onAction?: ((cluster: string, action: Action) => void) | undefined;
}

export class Controller {
  readonly #options: ControllerOptions;
  readonly #caches: Caches;
  readonly #platform: Platform;
  readonly #queue: Queue;
  readonly #attendants = new Map<string, Attendant>();

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#platform = new Platform(options.api);
    this.#queue = new Queue({ maxConcurrent: MAX_CONCURRENT, work: (key) => this.#attend(key) });
    this.#caches = new Caches({
      api: options.api,
      namespace: options.namespace,
      logger: options.logger,
      onChange: (namespace, name) => this.#queue.add(`${namespace}/${name}`),
    });
  }

  async start(): Promise<void> {
    await this.#caches.start();
  }

  async stop(): Promise<void> {
    this.#queue.stop();
    await this.#caches.stop();
  }

  async #attend(key: string): Promise<number | null> {
    try {
      const againMs = await this.#attendantOf(key).attend();
      if (againMs === null) this.#attendants.delete(key);
      return againMs;
    } catch (error) {
      this.#options.logger.error('could not attend to a cluster', { cluster: key, error });
      return RETRY_MS;
    }
  }

  #attendantOf(key: string): Attendant {
    const known = this.#attendants.get(key);
    if (known !== undefined) return known;
    const { gateImage, logger, nowMs = Date.now, endpointOf, onAction } = this.#options;
    const [namespace, name] = key.split('/') as [string, string];
    const attendant = new Attendant({
      namespace,
      name,
      platform: this.#platform,
      cached: () => this.#caches.parts(namespace, name),
      gateImage,
      logger: logger.child({ cluster: key }),
      nowMs,
      endpointOf: endpointOf === undefined ? undefined : (ordinal) => endpointOf(name, ordinal),
      onAction: onAction === undefined ? undefined : (action) => onAction(key, action),
    });
    this.#attendants.set(key, attendant);
    return attendant;
  }
}
