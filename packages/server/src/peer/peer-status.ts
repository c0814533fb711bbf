/** Whether a member can be reached, as the last attempt of any of the ways to it says. */
import type { MemberId } from '@etcd/api';
import { formatId } from '@etcd/storage/membership';
import type { PeerEnvironment } from './peer-environment.ts';

export class PeerStatus {
  readonly #environment: PeerEnvironment;
  readonly #id: MemberId;
  #sinceMs: number | null = null;

  constructor(environment: PeerEnvironment, id: MemberId) {
    this.#environment = environment;
    this.#id = id;
  }

  /** `Clock.now` of the moment since which it has been reachable; null when it is not. */
  get activeSinceMs(): number | null {
    return this.#sinceMs;
  }

  get isActive(): boolean {
    return this.#sinceMs !== null;
  }

  activate(): void {
    if (this.#sinceMs !== null) return;
    const { clock, logger, metrics, self } = this.#environment;
    this.#sinceMs = clock.now();
    logger.info('peer became active', { 'peer-id': formatId(this.#id) });
    metrics.activePeers.labels(formatId(self.memberId), formatId(this.#id)).add(1);
  }

  /** @param source which of the ways failed, at doing what (`action`). */
  deactivate(source: string, action: string, reason: string): void {
    const { logger, metrics, self } = this.#environment;
    const id = formatId(this.#id);
    const error = (): string => `failed to ${action} ${id} on ${source} (${reason})`;
    if (this.#sinceMs === null) {
      if (logger.enabled('debug')) logger.debug('peer deactivated again', { 'peer-id': id, error: error() });
      return;
    }
    this.#sinceMs = null;
    logger.warn('peer became inactive (message send to peer failed)', { 'peer-id': id, error: error() });
    metrics.activePeers.labels(formatId(self.memberId), id).add(-1);
    metrics.disconnectedPeersTotal.labels(formatId(self.memberId), id).inc();
  }

  /** The member is no peer any more. */
  forget(): void {
    if (this.#sinceMs === null) return;
    this.#sinceMs = null;
    const { metrics, self } = this.#environment;
    metrics.activePeers.labels(formatId(self.memberId), formatId(this.#id)).add(-1);
  }
}
