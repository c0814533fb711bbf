/** One operator at a time, by a Lease: whoever holds it acts, and whoever can't renew it stops before another may begin. */
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@etcd/base';
import type { KubernetesObject } from '@kubernetes/client-node';
import { describeError, type KubernetesApi } from '../kubernetes/api.ts';
import { LEASES } from '../kubernetes/collections.ts';

const LEASE_NAME = 'etcd-operator';
const LEASE_SECONDS = 30;
const RENEW_MS = 5_000;
/** Whoever has not renewed for so long has lost it: sooner than others take it to be free. */
const GIVE_UP_MS = 20_000;

interface Lease extends KubernetesObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export interface LeadershipOptions {
  readonly api: KubernetesApi;
  readonly namespace: string;
  readonly logger: Logger;
  readonly identity?: string | undefined;
}

export class Leadership {
  readonly #options: LeadershipOptions;
  readonly identity: string;
  /** When a lease of another was first seen as it is, by this process's own clock. */
  #seen: { readonly renewTime: string; readonly atMs: number } | null = null;

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.identity = options.identity ?? `${hostname()}_${process.pid}`;
  }

  /** Resolves when this one is the leader. Rejects when `signal` is aborted. */
  async acquire(signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        if (await this.#take()) return;
      } catch (error) {
        this.#options.logger.warn('can not ask for leadership', { error: describeError(error) });
      }
      await sleep(RENEW_MS, undefined, { signal });
    }
  }

  /** Resolves when the leadership is lost, or `signal` is aborted; then it has been given back where that was possible. */
  async hold(signal: AbortSignal): Promise<void> {
    let renewedMs = performance.now();
    while (!signal.aborted && performance.now() - renewedMs < GIVE_UP_MS) {
      await sleep(RENEW_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) break;
      try {
        const beganMs = performance.now();
        if (!(await this.#take())) return;
        renewedMs = beganMs;
      } catch (error) {
        this.#options.logger.warn('can not renew leadership', { error: describeError(error) });
      }
    }
    if (signal.aborted) await this.#giveBack();
  }

  /** Takes or renews the lease; false: another has it. Rejects where the API server refuses, as for one who was late. */
  async #take(): Promise<boolean> {
    const { api, namespace } = this.#options;
    const lease = await api.read<Lease>(LEASES, namespace, LEASE_NAME);
    if (lease === null) {
      await api.create(LEASES, namespace, this.#mine(null));
      return true;
    }
    if (lease.spec?.holderIdentity !== this.identity && !this.#isFree(lease)) return false;
    await api.replace(LEASES, namespace, LEASE_NAME, this.#mine(lease));
    return true;
  }

  /** Clocks of machines differ: a lease is free when it has stood still for its time by this one's. */
  #isFree({ spec }: Lease): boolean {
    if (!spec?.holderIdentity) return true;
    const renewTime = `${spec.holderIdentity} ${String(spec.renewTime)}`;
    if (this.#seen?.renewTime !== renewTime) {
      this.#seen = { renewTime, atMs: performance.now() };
      return false;
    }
    return performance.now() - this.#seen.atMs > (spec.leaseDurationSeconds ?? LEASE_SECONDS) * 1000;
  }

  #mine(before: Lease | null): Lease {
    // In microseconds, as leases have their times.
    const now = new Date().toISOString().replace('Z', '000Z');
    const isNew = before?.spec?.holderIdentity !== this.identity;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { ...before?.metadata, name: LEASE_NAME, namespace: this.#options.namespace },
      spec: {
        holderIdentity: this.identity,
        leaseDurationSeconds: LEASE_SECONDS,
        acquireTime: isNew ? now : (before?.spec?.acquireTime ?? now),
        renewTime: now,
        leaseTransitions: (before?.spec?.leaseTransitions ?? 0) + (isNew && before !== null ? 1 : 0),
      },
    };
  }

  async #giveBack(): Promise<void> {
    const { api, namespace, logger } = this.#options;
    try {
      const lease = await api.read<Lease>(LEASES, namespace, LEASE_NAME);
      if (lease === null || lease.spec?.holderIdentity !== this.identity) return;
      const body = { ...lease, spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1 } };
      await api.replace(LEASES, namespace, LEASE_NAME, body);
    } catch (error) {
      logger.warn('could not give leadership back', { error: describeError(error) });
    }
  }
}
