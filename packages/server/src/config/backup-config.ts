/** What flags decide about backups that a member makes by itself, and about defragmenting. What files say is looked at by the start. */
import { type DatabaseSizes, Rule } from '@etcd/defrag/rule';
import { ConfigError } from './config-error.ts';
import type { FlagSet } from './flag-set.ts';

/** Backups by the cluster itself; the names are those of the flags without `backup-`. */
export interface BackupConfig {
  /** A directory, or `s3://…`. */
  readonly store: string;
  /** A cron expression in UTC, or an interval as a duration. */
  readonly schedule: string;
  readonly recipients: readonly string[];
  /** Paths; empty: none. */
  readonly recipientsFile: string;
  readonly passphraseFile: string;
  readonly isUnencrypted: boolean;
  readonly compression: 'zstd' | 'gzip' | 'none';
  readonly retention: BackupRetention;
  /** From that age of the newest on the member warns; 0: twice the time from one to the next. */
  readonly maxAgeMs: number;
  /** How often changes since the last backup go to the store; 0: they do not. */
  readonly changesIntervalMs: number;
}

/** How many stay; all zero: all. */
export interface BackupRetention {
  readonly last: number;
  readonly withinMs: number;
  readonly hourly: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
}

/** When a member makes its database shorter while it serves. */
export interface AutoDefrag {
  readonly ruleText: string;
  readonly holds: (sizes: DatabaseSizes) => boolean;
  readonly checkIntervalMs: number;
}

/** A segment for each write would be a store full of them. */
const MIN_CHANGES_INTERVAL_MS = 100;
const MIN_DEFRAG_CHECK_MS = 100;

const PREFIX = 'backup-';

/** Null: none are made. Throws {@link ConfigError}. */
export function backupConfig(flags: FlagSet): BackupConfig | null {
  const store = flags.string('backup-store');
  if (store === '') {
    const alone = BACKUP_FLAGS.find((name) => flags.isGiven(name));
    if (alone !== undefined) refuse(`--${alone} says how backups are made, but --backup-store not where`);
    return null;
  }
  const wishes = {
    recipients: flags.strings('backup-recipients').filter((one) => one !== ''),
    recipientsFile: flags.string('backup-recipients-file'),
    passphraseFile: flags.string('backup-passphrase-file'),
    isUnencrypted: flags.bool('backup-unencrypted'),
  };
  const isForRecipients = wishes.recipients.length > 0 || wishes.recipientsFile !== '';
  const ways = [isForRecipients, wishes.passphraseFile !== '', wishes.isUnencrypted].filter(Boolean).length;
  if (ways !== 1) {
    refuse(
      'give one of --backup-recipients (or --backup-recipients-file), --backup-passphrase-file, --backup-unencrypted',
    );
  }
  const changesIntervalMs = flags.number('backup-changes-interval');
  if (changesIntervalMs !== 0 && changesIntervalMs < MIN_CHANGES_INTERVAL_MS) {
    refuse(`--backup-changes-interval must be at least ${MIN_CHANGES_INTERVAL_MS}ms, or 0s`);
  }
  return {
    store,
    schedule: flags.string('backup-schedule'),
    ...wishes,
    compression: flags.string('backup-compression') as BackupConfig['compression'],
    retention: retention(flags),
    maxAgeMs: notNegative(flags, 'backup-max-age'),
    changesIntervalMs,
  };
}

const BACKUP_FLAGS = [
  'schedule',
  'recipients',
  'recipients-file',
  'passphrase-file',
  'unencrypted',
  'compression',
  'keep-last',
  'keep-within',
  'keep-hourly',
  'keep-daily',
  'keep-weekly',
  'keep-monthly',
  'max-age',
  'changes-interval',
].map((name) => PREFIX + name);

function retention(flags: FlagSet): BackupRetention {
  return {
    last: flags.number('backup-keep-last'),
    withinMs: notNegative(flags, 'backup-keep-within'),
    hourly: flags.number('backup-keep-hourly'),
    daily: flags.number('backup-keep-daily'),
    weekly: flags.number('backup-keep-weekly'),
    monthly: flags.number('backup-keep-monthly'),
  };
}

/** Null: never. Throws {@link ConfigError} for a rule that is none, or that says neither true nor false. */
export function autoDefrag(flags: FlagSet): AutoDefrag | null {
  const ruleText = flags.string('auto-defrag-rule');
  if (ruleText === '') return null;
  const checkIntervalMs = flags.number('auto-defrag-check-interval');
  if (checkIntervalMs < MIN_DEFRAG_CHECK_MS) {
    refuse(`--auto-defrag-check-interval must be at least ${MIN_DEFRAG_CHECK_MS}ms`);
  }
  try {
    const rule = new Rule(ruleText);
    return { ruleText, holds: (sizes) => rule.holds(sizes), checkIntervalMs };
  } catch (error) {
    return refuse(`--auto-defrag-rule: ${(error as Error).message}`);
  }
}

function notNegative(flags: FlagSet, name: string): number {
  const value = flags.number(name);
  if (value < 0) refuse(`--${name} must not be negative`);
  return value;
}

function refuse(message: string): never {
  throw new ConfigError('invalid', message);
}
