/** The operator at work: caches, a queue of resources, and an attendant for each. */
import type { Logger } from '@etcd/base';
import type { Action } from '../cluster/action.ts';
import type { KubernetesApi } from '../kubernetes/api.ts';
import { Caches, type OwnKind } from '../kubernetes/caches.ts';
import { Platform } from '../kubernetes/platform.ts';
import { Attendant } from './attendant.ts';
import { BackupAttendant } from './backup-attendant.ts';
import { OperatorMetrics } from './operator-metrics.ts';
import { Queue } from './queue.ts';
import { RestoreAttendant } from './restore-attendant.ts';
import { ScheduleAttendant } from './schedule-attendant.ts';

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
  readonly metrics?: OperatorMetrics | undefined;
  readonly onAction?: ((cluster: string, action: Action) => void) | undefined;
}

export class Controller {
  readonly #options: ControllerOptions;
  readonly #caches: Caches;
  readonly #platform: Platform;
  readonly #queue: Queue;
  readonly #metrics: OperatorMetrics;
  readonly #attendants = new Map<string, { attend(): Promise<number | null> }>();

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#metrics = options.metrics ?? new OperatorMetrics();
    this.#platform = new Platform(options.api);
    this.#queue = new Queue({ maxConcurrent: MAX_CONCURRENT, work: (key) => this.#attend(key) });
    this.#caches = new Caches({
      api: options.api,
      namespace: options.namespace,
      logger: options.logger,
      onChange: (kind, namespace, name) => this.#queue.add(`${kind}/${namespace}/${name}`),
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
    const beganMs = performance.now();
    try {
      const againMs = await this.#attendantOf(key).attend();
      if (againMs === null) this.#attendants.delete(key);
      return againMs;
    } catch (error) {
      this.#options.logger.error('could not attend', { to: key, error });
      return RETRY_MS;
    } finally {
      this.#metrics.handles.looks.observe((performance.now() - beganMs) / 1000);
    }
  }

  #attendantOf(key: string): { attend(): Promise<number | null> } {
    const known = this.#attendants.get(key);
    if (known !== undefined) return known;
    const [kind, namespace, name] = key.split('/') as [OwnKind, string, string];
    const attendant = this.#newAttendant(kind, namespace, name);
    this.#attendants.set(key, attendant);
    return attendant;
  }

  #newAttendant(kind: OwnKind, namespace: string, name: string): { attend(): Promise<number | null> } {
    const { api, gateImage, logger, nowMs = Date.now, endpointOf, onAction } = this.#options;
    const id = `${namespace}/${name}`;
    const own = { namespace, name, gateImage, nowMs, api, caches: this.#caches };
    if (kind === 'backup') return new BackupAttendant({ ...own, logger: logger.child({ backup: id }) });
    if (kind === 'schedule') return new ScheduleAttendant({ ...own, logger: logger.child({ schedule: id }) });
    if (kind === 'restore') return new RestoreAttendant({ ...own, logger: logger.child({ restore: id }) });
    return new Attendant({
      namespace,
      name,
      platform: this.#platform,
      cached: () => this.#caches.parts(namespace, name),
      gateImage,
      logger: logger.child({ cluster: id }),
      nowMs,
      metrics: this.#metrics,
      endpointOf: endpointOf === undefined ? undefined : (ordinal) => endpointOf(name, ordinal),
      onAction: onAction === undefined ? undefined : (action) => onAction(id, action),
    });
  }
}
