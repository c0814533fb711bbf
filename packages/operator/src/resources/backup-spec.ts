/** Where backups lie, who can read them and which of them stay: fields that several resources share. */
import type { Retention } from '@etcd/backup';
import { COMPRESSIONS, type Compression, isNothing, parseStoreAddress, Schedule } from '@etcd/backup';
import { FieldReader, type Fields, type SpecProblem } from './fields.ts';

const DAY_MS = 86_400_000;
const MAX_KEPT = 10_000;
const MAX_AGE_MS = 36_500 * DAY_MS;
const MIN_TIMEOUT_SECONDS = 10;
const DEFAULT_TIMEOUT_SECONDS = 6 * 3600;
const DEFAULT_HISTORY = 10;

export interface StoreSpec {
  /** The claim of a volume; null: the store is a bucket. */
  readonly claimName: string | null;
  /** As `etcdadm backup --store` takes it, where the volume is mounted at {@link STORE_MOUNT}. */
  readonly address: string;
  /** With `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and what else the SDK reads from its environment; null: the machine's role. */
  readonly credentialsSecret: string | null;
}

/** Where a worker has the volume of a store. */
export const STORE_MOUNT = '/backup';

export interface EncryptionSpec {
  /** Public keys of age; empty: a passphrase, or nobody. */
  readonly recipients: readonly string[];
  /** A secret with `passphrase`; null: none. */
  readonly passphraseSecret: string | null;
  /** A secret with `identity`, that opens what the recipients can; null: nobody here can. */
  readonly identitySecret: string | null;
}

/** How a backup is made. */
export interface BackupTemplate {
  readonly store: StoreSpec;
  readonly encryption: EncryptionSpec;
  readonly compression: Compression;
  /** Whether each is read record by record, and a member started with it. */
  readonly verify: boolean;
  /** null: nothing is removed. */
  readonly retention: Retention | null;
  readonly timeoutSeconds: number;
}

export interface BackupSpec extends BackupTemplate {
  readonly clusterName: string;
}

export interface ScheduleSpec extends BackupSpec {
  /** An interval, or a cron expression in UTC. */
  readonly schedule: string;
  readonly suspend: boolean;
  /** How many finished backups have a resource. Files are kept as the retention says. */
  readonly historyLimit: number;
}

export type Parsed<T> =
  | { readonly ok: true; readonly spec: T }
  | { readonly ok: false; readonly problems: readonly SpecProblem[] };

/** The spec of an `EtcdBackup`. */
export function parseBackupSpec(value: unknown): Parsed<BackupSpec> {
  const reader = new FieldReader();
  const fields = reader.record(value, 'spec');
  const clusterName = reader.text(fields['clusterName'], 'spec.clusterName');
  return parsed(reader, { clusterName, ...readTemplate(reader, fields, 'spec') });
}

/** The spec of an `EtcdBackupSchedule`. */
export function parseScheduleSpec(value: unknown): Parsed<ScheduleSpec> {
  const reader = new FieldReader();
  const fields = reader.record(value, 'spec');
  return parsed(reader, {
    clusterName: reader.text(fields['clusterName'], 'spec.clusterName'),
    ...readTemplate(reader, fields, 'spec'),
    schedule: readSchedule(reader, fields['schedule'], 'spec.schedule'),
    suspend: reader.flag(fields['suspend'], 'spec.suspend'),
    historyLimit: reader.optionalInteger(
      fields['historyLimit'],
      'spec.historyLimit',
      1,
      1000,
      DEFAULT_HISTORY,
    ),
  });
}

export function parsed<T>(reader: FieldReader, spec: T): Parsed<T> {
  return reader.problems.length > 0 ? { ok: false, problems: reader.problems } : { ok: true, spec };
}

export function readTemplate(reader: FieldReader, fields: Fields, field: string): BackupTemplate {
  const verify = reader.flag(fields['verify'], `${field}.verify`, true);
  const encryption = readEncryption(reader, fields['encryption'], `${field}.encryption`);
  if (verify && encryption.recipients.length > 0 && encryption.identitySecret === null)
    reader.note(`${field}.encryption.identitySecret`, 'is needed to verify; or set verify to false');
  return {
    store: readStore(reader, fields['store'], `${field}.store`),
    encryption,
    compression: reader.choice(fields['compression'], `${field}.compression`, COMPRESSIONS),
    verify,
    retention: readRetention(reader, fields['retention'], `${field}.retention`),
    timeoutSeconds: reader.optionalInteger(
      fields['timeoutSeconds'],
      `${field}.timeoutSeconds`,
      MIN_TIMEOUT_SECONDS,
      7 * 86_400,
      DEFAULT_TIMEOUT_SECONDS,
    ),
  };
}

export function readSchedule(reader: FieldReader, value: unknown, field: string): string {
  const text = reader.text(value, field);
  if (text === '') return text;
  try {
    Schedule.parse(text);
  } catch (error) {
    reader.note(field, (error as Error).message);
  }
  return text;
}

export function readStore(reader: FieldReader, value: unknown, field: string): StoreSpec {
  const store = reader.record(value, field);
  const volume = reader.optionalRecord(store['persistentVolumeClaim'], `${field}.persistentVolumeClaim`);
  const s3 = reader.optionalRecord(store['s3'], `${field}.s3`);
  if ((volume === null) === (s3 === null)) {
    reader.note(field, 'must have one of persistentVolumeClaim and s3');
    return { claimName: null, address: '', credentialsSecret: null };
  }
  if (volume !== null) {
    const at = `${field}.persistentVolumeClaim`;
    const path = reader.optionalText(volume['path'], `${at}.path`) ?? '';
    if (path.split('/').includes('..')) reader.note(`${at}.path`, 'must stay inside of the volume');
    const claimName = reader.text(volume['claimName'], `${at}.claimName`);
    return { claimName, address: `${STORE_MOUNT}/${path}`.replace(/\/+$/, ''), credentialsSecret: null };
  }
  return readS3(reader, s3!, `${field}.s3`);
}

const S3_SETTINGS: readonly (readonly [string, string])[] = [
  ['endpoint', 'endpoint'],
  ['region', 'region'],
  ['serverSideEncryption', 'sse'],
  ['storageClass', 'storage-class'],
];

function readS3(reader: FieldReader, s3: Fields, field: string): StoreSpec {
  const bucket = reader.text(s3['bucket'], `${field}.bucket`);
  const prefix = reader.optionalText(s3['prefix'], `${field}.prefix`) ?? '';
  const query = new URLSearchParams();
  for (const [name, setting] of S3_SETTINGS) {
    const text = reader.optionalText(s3[name], `${field}.${name}`);
    if (text !== null) query.set(setting, text);
  }
  const style = s3['pathStyle'];
  if (style !== undefined) query.set('path-style', String(reader.flag(style, `${field}.pathStyle`)));
  const settings = query.size === 0 ? '' : `?${query.toString()}`;
  const address = `s3://${bucket}/${prefix}${settings}`;
  if (bucket !== '') {
    try {
      parseStoreAddress(address);
    } catch (error) {
      reader.note(field, (error as Error).message);
    }
  }
  const credentialsSecret = reader.optionalText(s3['credentialsSecret'], `${field}.credentialsSecret`);
  return { claimName: null, address, credentialsSecret };
}

/** Someone who wants a backup that everybody can read has to say so. */
function readEncryption(reader: FieldReader, value: unknown, field: string): EncryptionSpec {
  const encryption = reader.optionalRecord(value, field) ?? {};
  const recipients = reader.texts(encryption['recipients'], `${field}.recipients`);
  for (const recipient of recipients)
    if (!/^age1[a-z0-9]+$/.test(recipient))
      reader.note(`${field}.recipients`, `${recipient} is no key of age`);
  const passphraseSecret = reader.optionalText(encryption['passphraseSecret'], `${field}.passphraseSecret`);
  const identitySecret = reader.optionalText(encryption['identitySecret'], `${field}.identitySecret`);
  const isNone = reader.flag(encryption['none'], `${field}.none`);
  const ways = [recipients.length > 0, passphraseSecret !== null, isNone].filter(Boolean);
  if (ways.length !== 1) reader.note(field, 'must have one of recipients, passphraseSecret and none');
  return { recipients, passphraseSecret, identitySecret };
}

function readRetention(reader: FieldReader, value: unknown, field: string): Retention | null {
  const retention = reader.optionalRecord(value, field);
  if (retention === null) return null;
  const count = (name: string): number =>
    reader.optionalInteger(retention[name], `${field}.${name}`, 0, MAX_KEPT, 0);
  const kept = {
    last: count('last'),
    withinMs: reader.durationMs(retention['within'], `${field}.within`, 1000, MAX_AGE_MS, 0),
    hourly: count('hourly'),
    daily: count('daily'),
    weekly: count('weekly'),
    monthly: count('monthly'),
  };
  if (isNothing(kept)) reader.note(field, 'must say what is to stay: last, within, hourly, daily, …');
  return kept;
}
