/**
 * The resource `EtcdCluster`: what a user declares. Fields of the public group `operator.etcd.io/v1alpha1` have its names and
 * meanings; `repair`, `paused` and `volumeReclaimPolicy` are this operator's own.
 */
import { type ClusterBackupPolicy, readClusterBackup } from './cluster-backup.ts';
import { FieldReader, type SpecProblem } from './fields.ts';
import { type Maintenance, readMaintenance } from './maintenance.ts';
import { type PodTemplate, readPodTemplate } from './pod-template.ts';
import { readTls, type TlsSpec } from './tls-spec.ts';

/** Above this a cluster gets slower, and not safer. */
export const MAX_SIZE = 7;
export const DEFAULT_REGISTRY = 'gcr.io/etcd-development/etcd';

export interface StorageSpec {
  readonly accessModes: 'ReadWriteOnce' | 'ReadWriteMany';
  readonly storageClassName: string | null;
  /** A quantity, as `1Gi`. */
  readonly volumeSizeRequest: string;
  readonly volumeSizeLimit: string;
}

export interface RepairPolicy {
  /** A member whose disk is gone is replaced by itself. One that is silent for so long although its disk is there, too; null: never. */
  readonly replaceSilentAfterSeconds: number | null;
  /** A cluster whose quorum has lost its disks is restored from the newest verified backup when nobody has answered for so long; null: never. */
  readonly restoreAfterQuorumLossSeconds: number | null;
}

export interface EtcdClusterSpec {
  readonly size: number;
  /** An image tag: `v3.5.21`. */
  readonly version: string;
  readonly imageRegistry: string;
  /** null: members lose their data with their pod. */
  readonly storage: StorageSpec | null;
  /** null: members speak in the clear. */
  readonly tls: TlsSpec | null;
  readonly etcdOptions: readonly string[];
  readonly podTemplate: PodTemplate;
  readonly paused: boolean;
  readonly repair: RepairPolicy;
  readonly maintenance: Maintenance;
  /** null: nobody has asked for backups here. */
  readonly backup: ClusterBackupPolicy | null;
  /** Whether the volumes go with the cluster. */
  readonly deletesVolumes: boolean;
}

export type ParsedSpec =
  | { readonly ok: true; readonly spec: EtcdClusterSpec }
  | { readonly ok: false; readonly problems: readonly SpecProblem[] };

/**
 * Options that the operator sets by itself: a user's value would take a member out of its cluster. A file of options would stand in for all of
 * these, and a log beside the data would stay where a restore gives the data up.
 */
const OWN_OPTIONS: readonly string[] = [
  'name',
  'data-dir',
  'wal-dir',
  'config-file',
  'listen-peer-urls',
  'listen-client-urls',
  'initial-advertise-peer-urls',
  'advertise-client-urls',
  'initial-cluster',
  'initial-cluster-state',
  'initial-cluster-token',
  'force-new-cluster',
  'listen-metrics-urls',
  'cert-file',
  'key-file',
  'client-cert-auth',
  'trusted-ca-file',
  'auto-tls',
  'peer-cert-file',
  'peer-key-file',
  'peer-client-cert-auth',
  'peer-trusted-ca-file',
  'peer-auto-tls',
];

/** Reads a declaration as the API server hands it out; everything wrong with it is told at once. */
export function parseClusterSpec(value: unknown): ParsedSpec {
  const reader = new FieldReader();
  const fields = reader.record(value, 'spec');
  const spec: EtcdClusterSpec = {
    size: reader.integer(fields['size'], 'spec.size', 1, MAX_SIZE),
    version: reader.text(fields['version'], 'spec.version'),
    imageRegistry: reader.text(fields['imageRegistry'], 'spec.imageRegistry', DEFAULT_REGISTRY),
    storage: readStorage(reader, fields['storageSpec']),
    tls: readTls(reader, fields['tls']),
    etcdOptions: readOptions(reader, fields['etcdOptions']),
    podTemplate: readPodTemplate(reader, fields['podTemplate']),
    paused: reader.flag(fields['paused'], 'spec.paused'),
    repair: readRepair(reader, fields['repair']),
    maintenance: readMaintenance(reader, fields['maintenance']),
    backup: readClusterBackup(reader, fields['backup']),
    deletesVolumes:
      reader.choice(fields['volumeReclaimPolicy'], 'spec.volumeReclaimPolicy', ['Retain', 'Delete']) ===
      'Delete',
  };
  return reader.problems.length > 0 ? { ok: false, problems: reader.problems } : { ok: true, spec };
}

/** The flag's name in `--name=value`, `--name` or `-name`. */
export function optionName(option: string): string {
  return option.replace(/^--?/, '').replace(/[= ].*$/s, '');
}

function readStorage(reader: FieldReader, value: unknown): StorageSpec | null {
  const field = 'spec.storageSpec';
  const storage = reader.optionalRecord(value, field);
  if (storage === null) return null;
  const modes = ['ReadWriteOnce', 'ReadWriteMany'] as const;
  if (storage['pvcName'] !== undefined)
    reader.note(`${field}.pvcName`, 'is not supported: each member has a volume of its own');
  const request = reader.quantity(storage['volumeSizeRequest'], `${field}.volumeSizeRequest`, null);
  return {
    accessModes: reader.choice(storage['accessModes'], `${field}.accessModes`, modes),
    storageClassName: reader.optionalText(storage['storageClassName'], `${field}.storageClassName`),
    volumeSizeRequest: request,
    volumeSizeLimit: reader.quantity(storage['volumeSizeLimit'], `${field}.volumeSizeLimit`, request),
  };
}

function readOptions(reader: FieldReader, value: unknown): string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    reader.note('spec.etcdOptions', 'must be a list of flags');
    return [];
  }
  const options: string[] = [];
  for (const [index, option] of value.entries()) {
    const field = `spec.etcdOptions[${index}]`;
    if (typeof option !== 'string' || !option.startsWith('-'))
      reader.note(field, 'must be a flag, as --name=value');
    else if (OWN_OPTIONS.includes(optionName(option))) reader.note(field, 'is set by the operator');
    else options.push(option);
  }
  return options;
}

function readRepair(reader: FieldReader, value: unknown): RepairPolicy {
  const repair = reader.optionalRecord(value, 'spec.repair') ?? {};
  const seconds = (name: string): number | null =>
    reader.optionalInteger(repair[name], `spec.repair.${name}`, MIN_SILENCE_SECONDS, 7 * 86_400, null);
  return {
    replaceSilentAfterSeconds: seconds('replaceSilentAfterSeconds'),
    restoreAfterQuorumLossSeconds: seconds('restoreAfterQuorumLossSeconds'),
  };
}

/** A member that restarts on a slow node is silent for a minute or two. */
const MIN_SILENCE_SECONDS = 300;
