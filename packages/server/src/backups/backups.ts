/**
 * The cluster's own backups. The leader makes them: it is the one member of which there is one, which a quorum confirms before each. What is
 * due it reads from the store, so that a new leader goes on where the one before has stopped. The others look now and then how old the newest is.
 *
 * Invariants: one backup is under way at a time, and none while another member leads; nothing is removed before a newer one is there.
 */
import {
  BackupError,
  type BackupMetadata,
  type BackupStore,
  ChangesSink,
  changesReachTo,
  isNothing,
  makeHeader,
  openStore,
  prune,
  pruneChanges,
  readSealing,
  Schedule,
  type Sealing,
  takeBackup,
} from '@etcd/backup';
import type { Clock, Logger, Timer } from '@etcd/base';
import { formatId } from '@etcd/storage/membership';
import { type BackupConfig, MemberStartError } from '../config/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import type { BackedUpMember } from './backed-up-member.ts';
import { ChangeLog } from './change-log.ts';
import { MemberSource } from './member-source.ts';

export interface BackupsOptions {
  readonly config: BackupConfig;
  /** What a backup says of where it comes from. */
  readonly endpoint: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
}

/** How often is looked whether something is due. */
const CHECK_MS = 500;
/** How often those who make no backups look at the store, and all for what others have done there. */
const REFRESH_MS = 5 * 60_000;
/** Between two attempts; doubled each time. */
const MIN_RETRY_MS = 5000;
const MAX_RETRY_MS = 10 * 60_000;
/** Between two lines about the same. */
const WARN_MS = 10 * 60_000;
/** Longer than any backup takes. */
const UNFINISHED_AGE_MS = 24 * 3_600_000;

interface Newest {
  readonly createdMs: number;
  readonly revision: number;
}

export class Backups {
  readonly #options: BackupsOptions;
  readonly #store: BackupStore;
  readonly #schedule: Schedule;
  readonly #sealing: Sealing | null;
  readonly #controller = new AbortController();
  #timer: Timer | null = null;
  #step: Promise<void> | null = null;
  #log: ChangeLog | null = null;
  /** Undefined: not looked at yet; null: there is none. */
  #newest: Newest | null | undefined = undefined;
  #led = false;
  #refreshAtMs = 0;
  #startedMs = 0;
  #notBeforeMs = 0;
  #failures = 0;
  #warnedMs = Number.NEGATIVE_INFINITY;

  private constructor(
    options: BackupsOptions,
    store: BackupStore,
    schedule: Schedule,
    sealing: Sealing | null,
  ) {
    this.#options = options;
    this.#store = store;
    this.#schedule = schedule;
    this.#sealing = sealing;
  }

  /** Reads files and addresses, and asks the store nothing. Throws {@link MemberStartError}. */
  static async open(options: BackupsOptions): Promise<Backups> {
    const { config } = options;
    const schedule = attempt('--backup-schedule', () => Schedule.parse(config.schedule));
    const sealing = attempt('--backup-recipients', () => readSealing(config));
    if (sealing !== null) {
      // A key that is none is found out now, and not by the first backup.
      await makeHeader(sealing).catch((error: Error) => refuse('--backup-recipients', error));
    }
    const store = await openStore(config.store).catch((error: Error) => refuse('--backup-store', error));
    return new Backups(options, store, schedule, sealing);
  }

  start(member: BackedUpMember): void {
    this.#startedMs = this.#options.clock.wallNow();
    this.#tick(member);
  }

  /** What is under way is given up; nothing of it stays in the store. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    this.#controller.abort(new BackupError('the member stops'));
    await this.#step;
    await this.#log?.stop();
    this.#store.objects.close();
  }

  #tick(member: BackedUpMember): void {
    this.#timer = this.#options.clock.setTimer(CHECK_MS, () => {
      if (this.#controller.signal.aborted) return;
      this.#tick(member);
      if (this.#step !== null) return;
      this.#step = this.#check(member)
        .catch((error: Error) => this.#failed('failed to look after backups', error))
        .finally(() => {
          this.#step = null;
        });
    });
  }

  /** What is to be done now. */
  async #check(member: BackedUpMember): Promise<void> {
    const now = this.#options.clock.wallNow();
    const leads = member.isLeader && !member.isFenced;
    if (!leads) await this.#stopLog();
    // Whoever leads anew has to know what the one before has done.
    if (leads && !this.#led) this.#newest = undefined;
    this.#led = leads;
    if (now < this.#notBeforeMs) return;
    if (now >= this.#refreshAtMs || (leads && this.#newest === undefined)) await this.#refresh(member, now);
    if (this.#newest === undefined) return;
    this.#tellAge(now, leads);
    if (!leads) return;
    const isBroken = await this.#keepLog(member);
    if (isBroken || now >= this.#dueMs(now)) await this.#take(member);
  }

  async #refresh(member: BackedUpMember, now: number): Promise<void> {
    const { objects } = this.#store;
    try {
      await objects.prepare();
      this.#newest = await this.#store.newest(formatId(member.clusterId));
    } catch (error) {
      return this.#failed('failed to look at the store of backups', error as Error);
    }
    this.#refreshAtMs = now + REFRESH_MS;
  }

  /** Where there is none: now. A clock that was wrong once holds nobody up. */
  #dueMs(now: number): number {
    if (!this.#newest) return now;
    return this.#schedule.nextMs(Math.min(this.#newest.createdMs, now));
  }

  async #take(member: BackedUpMember): Promise<void> {
    const { config, clock, logger, metrics, endpoint } = this.#options;
    if (!(await leadsForSure(member))) return;
    const startMs = clock.now();
    const { signal } = this.#controller;
    const source = new MemberSource(member, endpoint);
    const { compression } = config;
    let made: BackupMetadata;
    try {
      const at = new Date(clock.wallNow());
      made = await takeBackup(this.#store, { source, compression, sealing: this.#sealing, signal }, at);
    } catch (error) {
      metrics.backupsTotal.labels('false').inc();
      return this.#failed('failed to back up', error as Error);
    }
    const tookMs = clock.now() - startMs;
    this.#failures = 0;
    this.#newest = { createdMs: Date.parse(made.createdAt), revision: made.revision };
    metrics.backupsTotal.labels('true').inc();
    metrics.backupStoredBytes.labels(this.#store.address).set(made.storedBytes);
    metrics.backupDurationSeconds.labels(this.#store.address).set(tookMs / 1000);
    this.#tellAge(clock.wallNow(), true);
    logger.info('backed up', {
      name: made.name,
      revision: made.revision,
      'size-bytes': made.sizeBytes,
      'stored-bytes': made.storedBytes,
      took: `${(tookMs / 1000).toFixed(3)}s`,
    });
    await this.#prune(made);
  }

  /** What fails here is tried again behind the next backup. */
  async #prune({ clusterId }: BackupMetadata): Promise<void> {
    const { config, clock, logger } = this.#options;
    if (isNothing(config.retention)) return;
    const nowMs = clock.wallNow();
    try {
      await prune(this.#store, config.retention, {
        nowMs,
        clusterId,
        isDryRun: false,
        onRemoved: ({ name }) => logger.info('removed a backup', { name }),
      });
      const oldest = (await this.#store.list()).find((one) => one.isWhole && one.clusterId === clusterId);
      if (oldest !== undefined && config.changesIntervalMs > 0) {
        await pruneChanges(this.#store.changes, clusterId, oldest.revision);
      }
    } catch (error) {
      logger.warn('failed to remove old backups', { error: (error as Error).message });
    }
    // Not every store can tell what was never finished.
    await this.#store.objects.removeUnfinished(nowMs - UNFINISHED_AGE_MS).catch(() => 0);
  }

  // --- changes

  /** Sees to it that changes are followed; true: a backup is needed, from which they can go on. */
  async #keepLog(member: BackedUpMember): Promise<boolean> {
    const { config, logger, metrics } = this.#options;
    if (config.changesIntervalMs === 0) return false;
    let isBroken = false;
    if (this.#log?.isBroken === true) {
      logger.warn('changes were compacted before they were in the store of backups: backing up anew');
      await this.#stopLog();
      isBroken = true;
    }
    // Whoever leads has applied all that the one before has told of, when a quorum has confirmed it.
    if (this.#log !== null || !(await leadsForSure(member))) return isBroken;
    const clusterId = formatId(member.clusterId);
    const options = { clusterId, compression: config.compression, sealing: this.#sealing };
    const sink = await ChangesSink.open(this.#store.changes, options);
    const reached = await changesReachTo(this.#store.changes, clusterId);
    const current = member.store.revision;
    const known = Math.max(reached, this.#newest?.revision ?? 0);
    // What the store knows of a future of this cluster is another life's.
    if (this.#newest === null || known > current) isBroken = true;
    const from = isBroken ? current + 1 : known + 1;
    this.#log = new ChangeLog(
      {
        member,
        sink,
        logger,
        intervalMs: config.changesIntervalMs,
        onWritten: (revision) => metrics.backupChangesRevision.labels(this.#store.address).set(revision),
      },
      from,
    );
    logger.info('following changes for the store of backups', { from, interval: config.changesIntervalMs });
    this.#failures = 0;
    return isBroken;
  }

  async #stopLog(): Promise<void> {
    const log = this.#log;
    this.#log = null;
    await log?.stop();
  }

  // --- telling

  #tellAge(now: number, tells: boolean): void {
    const { config, logger, metrics } = this.#options;
    const address = this.#store.address;
    const newestMs = this.#newest?.createdMs ?? 0;
    metrics.backupNewestTimestampSeconds.labels(address).set(newestMs / 1000);
    const maxAgeMs = config.maxAgeMs || 2 * this.#schedule.periodMs(now);
    const isOverdue = now - Math.max(newestMs, newestMs === 0 ? this.#startedMs : 0) > maxAgeMs;
    metrics.backupOverdue.labels(address).set(isOverdue ? 1 : 0);
    if (!isOverdue || !tells || now - this.#warnedMs < WARN_MS) return;
    this.#warnedMs = now;
    logger.warn('the newest backup is too old', {
      store: address,
      newest: newestMs === 0 ? 'none' : new Date(newestMs).toISOString(),
      'max-age': `${maxAgeMs / 1000}s`,
    });
  }

  #failed(what: string, error: Error): void {
    if (this.#controller.signal.aborted) return;
    const { clock, logger } = this.#options;
    const retryMs = Math.min(MIN_RETRY_MS * 2 ** this.#failures++, MAX_RETRY_MS);
    this.#notBeforeMs = clock.wallNow() + retryMs;
    logger.warn(what, { error: error.message, 'retry-in': `${retryMs / 1000}s` });
  }
}

function leadsForSure(member: BackedUpMember): Promise<boolean> {
  return new Promise((resolve) => member.confirmLeadership(resolve));
}

function attempt<T>(flag: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    return refuse(flag, error as Error);
  }
}

function refuse(flag: string, error: Error): never {
  throw new MemberStartError(`${flag}: ${error.message}`, { cause: error });
}
