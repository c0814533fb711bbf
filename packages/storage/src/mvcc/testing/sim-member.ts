/**
 * A backend and a store on a clock that a test moves, for tests: what of a member concerns storage. The test brings clock and disk,
 * and with them crashes.
 */
import type { InternalError } from '@etcd/api';
import type { Clock, Disk } from '@etcd/base';
import { Backend, type BackendOptions } from '../../backend/index.ts';
import { ConsistentIndex } from '../../schema/index.ts';
import type { LeaseKeeper } from '../lease-keeper.ts';
import { Store, type StoreOptions } from '../store.ts';

export interface SimulatedClock extends Clock {
  advance(durationMs: number): void;
  advanceUntil(condition: () => boolean, limitMs: number): boolean;
}

export interface HashAnswer {
  readonly error: InternalError | null;
  readonly hash: number;
  readonly compactRevision: number;
  readonly revision: number;
}

/** Longer than anything here takes, on a clock that costs nothing. */
const FOREVER_MS = 1_000_000;

/** Leases that exist, and nothing more. */
export function leaseSet(leases: ReadonlySet<bigint>): LeaseKeeper {
  return { setIndex: () => {}, has: (lease) => leases.has(lease), setLease: () => {} };
}

export function openBackend(clock: Clock, disk: Disk, options: Partial<BackendOptions> = {}): Backend {
  return new Backend({
    disk,
    clock,
    path: '/db',
    onFatal: (error) => {
      throw error;
    },
    ...options,
  });
}

/** What a test may choose. `makeLeases` gets the opened backend, for lessors that live in it. */
export type SimMemberOptions = Partial<StoreOptions & BackendOptions> & {
  readonly makeLeases?: ((backend: Backend) => LeaseKeeper) | undefined;
};

export class SimMember<C extends SimulatedClock, D extends Disk> {
  readonly clock: C;
  readonly disk: D;
  readonly backend: Backend;
  readonly store: Store;
  readonly index: ConsistentIndex;
  restoreError: unknown = null;

  /** Starts on what is on the disk, and restores the store. */
  constructor(clock: C, disk: D, options: SimMemberOptions = {}) {
    this.clock = clock;
    this.disk = disk;
    this.backend = openBackend(clock, disk, options);
    this.index = new ConsistentIndex(this.backend);
    this.index.attach(this.backend);
    const leases = options.makeLeases?.(this.backend) ?? options.leases;
    this.store = new Store({ ...options, backend: this.backend, clock, leases });
    this.store.restoreThen((error) => {
      this.restoreError = error;
    });
    clock.advanceUntil(() => this.store.isReady || this.restoreError !== null, FOREVER_MS);
  }

  /** Stops cleanly; everything is then on the disk. */
  stop(): D {
    let closed = false;
    this.store.close();
    this.backend.closeThen(() => {
      closed = true;
    });
    this.clock.advanceUntil(() => closed, FOREVER_MS);
    return this.disk;
  }

  /** Lets compactions finish. */
  settle(): void {
    this.clock.advanceUntil(() => !this.store.isCompacting, FOREVER_MS);
  }

  /** HashKV at `rev`. */
  hash(rev: number): HashAnswer {
    let answer: HashAnswer | null = null;
    this.store.hashes.hashByRevThen(rev, (error, hash) => {
      answer = {
        error,
        hash: hash?.hash ?? 0,
        compactRevision: hash?.compactRevision ?? 0,
        revision: hash?.revision ?? 0,
      };
    });
    this.clock.advanceUntil(() => answer !== null, FOREVER_MS);
    return answer!;
  }
}
