/**
 * The database follows the version of the cluster: up at once; down only when nothing is left in the log that the older release would
 * not read, so that a database that says it is for that release can be given to it.
 *
 * Invariant: the database is lowered behind a snapshot of the log, one at a time, to what the cluster's version is by then.
 */
import type { LogIndex } from '@etcd/api';
import { assert } from '@etcd/base';
import { compareVersions, type SemanticVersion } from '@etcd/storage/membership';

export interface StorageVersionOptions {
  /** The cluster's; null until one was decided. */
  readonly version: () => SemanticVersion | null;
  /** Whether the database is for a later release than that. */
  readonly isAheadOf: (version: SemanticVersion) => boolean;
  readonly follow: (version: SemanticVersion) => void;
  /** Index of the last applied entry. */
  readonly appliedIndex: () => LogIndex;
  /** Entries up to `index` are not for members that come from now on. */
  readonly onUnreadable: (index: LogIndex) => void;
  /** Lets the log begin behind what has been applied by now; then calls `done`. */
  readonly forceSnapshot: (done: () => void) => void;
}

export class StorageVersion {
  readonly #options: StorageVersionOptions;
  #last: SemanticVersion | null;
  #isLowering = false;

  constructor(options: StorageVersionOptions) {
    this.#options = options;
    this.#last = options.version();
  }

  /** While the entry is being applied that has set the cluster's version. */
  onClusterVersion(version: SemanticVersion): void {
    const isLower = this.#last !== null && compareVersions(version, this.#last) < 0;
    this.#last = version;
    if (!isLower) return this.follow();
    this.#options.onUnreadable(this.#options.appliedIndex() + 1);
    this.#lower();
  }

  /** Does what is still to be done. */
  follow(): void {
    const { version, isAheadOf, follow } = this.#options;
    const target = version();
    if (target === null) return;
    if (isAheadOf(target)) this.#lower();
    else follow(target);
  }

  #lower(): void {
    if (this.#isLowering) return;
    this.#isLowering = true;
    this.#options.forceSnapshot(() => {
      assert(this.#isLowering, 'storage version: lowered twice for one snapshot');
      this.#isLowering = false;
      const target = this.#options.version();
      if (target !== null) this.#options.follow(target);
    });
  }
}
