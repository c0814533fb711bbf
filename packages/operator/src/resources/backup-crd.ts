/** Definitions of backups and their schedules, for Kubernetes. */
import { COMPRESSIONS } from '@etcd/backup';
import { definitionOf } from './definition.ts';

const NAME = { type: 'string', minLength: 1, maxLength: 253 };
const TEXT = { type: 'string' };
const TIME = { type: 'string', format: 'date-time' };
const COUNT = { type: 'integer', minimum: 0, maximum: 10_000 };
const BYTES = { type: 'integer', format: 'int64' };

const STORE = {
  type: 'object',
  description: 'Where backups lie: one of both.',
  properties: {
    persistentVolumeClaim: {
      type: 'object',
      required: ['claimName'],
      properties: {
        claimName: NAME,
        path: { type: 'string', maxLength: 253, description: 'Of the directory in the volume.' },
      },
    },
    s3: {
      type: 'object',
      required: ['bucket'],
      properties: {
        bucket: NAME,
        prefix: { type: 'string', maxLength: 253 },
        endpoint: { type: 'string', pattern: '^https?://', description: "Of a store that is not Amazon's." },
        region: NAME,
        pathStyle: { type: 'boolean' },
        serverSideEncryption: NAME,
        storageClass: NAME,
        credentialsSecret: {
          ...NAME,
          description: 'With AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what else the SDK reads.',
        },
      },
    },
  },
  'x-kubernetes-validations': [
    {
      rule: 'has(self.persistentVolumeClaim) != has(self.s3)',
      message: 'one of persistentVolumeClaim and s3',
    },
  ],
};

const ENCRYPTION = {
  type: 'object',
  description: 'Who can read backups.',
  properties: {
    recipients: {
      type: 'array',
      maxItems: 64,
      items: { type: 'string', pattern: '^age1[a-z0-9]+$', maxLength: 128 },
      description: 'Public keys of age.',
    },
    passphraseSecret: { ...NAME, description: 'A secret with the key passphrase.' },
    identitySecret: { ...NAME, description: 'A secret with the key identity, which opens backups again.' },
    none: { type: 'boolean', description: 'For everybody to read.' },
  },
  'x-kubernetes-validations': [
    {
      rule: '[has(self.recipients) && size(self.recipients) > 0, has(self.passphraseSecret), has(self.none) && self.none].exists_one(x, x)',
      message: 'one of recipients, passphraseSecret and none',
    },
  ],
};

const RETENTION = {
  type: 'object',
  description: 'Which files stay: what any of these asks for, and the newest always.',
  properties: {
    last: COUNT,
    within: { type: 'string', pattern: '^([0-9]+[dhms])+$' },
    hourly: COUNT,
    daily: COUNT,
    weekly: COUNT,
    monthly: COUNT,
  },
};

/** How a backup is made. */
export const TEMPLATE = {
  store: STORE,
  encryption: ENCRYPTION,
  compression: { type: 'string', enum: COMPRESSIONS, default: 'zstd' },
  verify: {
    type: 'boolean',
    default: true,
    description: 'Whether each backup is read record by record, and a member started with it.',
  },
  retention: RETENTION,
  timeoutSeconds: { type: 'integer', minimum: 10, maximum: 604_800, default: 21_600 },
};

const BACKUP_STATUS = {
  type: 'object',
  properties: {
    observedGeneration: { type: 'integer', format: 'int64' },
    phase: TEXT,
    reason: TEXT,
    message: TEXT,
    attempts: { type: 'integer' },
    finishedAt: TIME,
    backupName: TEXT,
    clusterId: TEXT,
    memberVersion: TEXT,
    revision: BYTES,
    sizeBytes: BYTES,
    storedBytes: BYTES,
    isVerified: { type: 'boolean' },
    removed: { type: 'integer' },
  },
};

export const BACKUP_DEFINITION = definitionOf({
  kind: 'EtcdBackup',
  shortNames: [],
  columns: [
    { name: 'Cluster', type: 'string', jsonPath: '.spec.clusterName' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
    { name: 'Revision', type: 'integer', jsonPath: '.status.revision' },
    { name: 'Verified', type: 'boolean', jsonPath: '.status.isVerified' },
  ],
  spec: {
    type: 'object',
    required: ['clusterName', 'store', 'encryption'],
    properties: { clusterName: NAME, ...TEMPLATE },
    'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'a backup is made once' }],
  },
  status: BACKUP_STATUS,
});

export const SCHEDULE_DEFINITION = definitionOf({
  kind: 'EtcdBackupSchedule',
  shortNames: [],
  columns: [
    { name: 'Cluster', type: 'string', jsonPath: '.spec.clusterName' },
    { name: 'Schedule', type: 'string', jsonPath: '.spec.schedule' },
    { name: 'Suspended', type: 'boolean', jsonPath: '.spec.suspend' },
    { name: 'Last', type: 'date', jsonPath: '.status.lastSuccessAt' },
  ],
  spec: {
    type: 'object',
    required: ['clusterName', 'schedule', 'store', 'encryption'],
    properties: {
      clusterName: NAME,
      schedule: { ...NAME, description: 'An interval as 6h, or a cron expression in UTC.' },
      suspend: { type: 'boolean', default: false },
      historyLimit: {
        type: 'integer',
        minimum: 1,
        maximum: 1000,
        default: 10,
        description: 'How many finished backups have a resource.',
      },
      ...TEMPLATE,
    },
  },
  status: {
    type: 'object',
    properties: {
      observedGeneration: { type: 'integer', format: 'int64' },
      reason: TEXT,
      message: TEXT,
      lastScheduledAt: TIME,
      lastSuccessAt: TIME,
      nextAt: TIME,
    },
  },
});

export const RESTORE_DEFINITION = definitionOf({
  kind: 'EtcdRestore',
  shortNames: [],
  columns: [
    { name: 'Cluster', type: 'string', jsonPath: '.spec.clusterName' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
  ],
  spec: {
    type: 'object',
    required: ['clusterName', 'source'],
    properties: {
      clusterName: NAME,
      source: {
        type: 'object',
        description: 'A backup by its resource, or by its store.',
        properties: {
          backup: { ...NAME, description: 'An EtcdBackup that has succeeded.' },
          store: STORE,
          backupName: { type: 'string', maxLength: 253, description: 'Of the file; the newest unless told.' },
          encryption: { type: 'object', properties: { passphraseSecret: NAME, identitySecret: NAME } },
          toTime: {
            type: 'string',
            maxLength: 64,
            description: 'With the changes up to that moment (2026-11-01T12:00:00Z), or newest.',
          },
        },
        'x-kubernetes-validations': [
          { rule: 'has(self.backup) != has(self.store)', message: 'one of backup and store' },
        ],
      },
      replacesData: {
        type: 'boolean',
        default: false,
        description: 'Whether a cluster that has data gives it up.',
      },
      clusterTemplate: {
        type: 'object',
        'x-kubernetes-preserve-unknown-fields': true,
        description: 'The spec of the cluster, where there is none of that name.',
      },
    },
    'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'a restore is done once' }],
  },
  status: {
    type: 'object',
    properties: { phase: TEXT, message: TEXT, finishedAt: TIME },
  },
});
