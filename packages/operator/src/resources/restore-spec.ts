/** The resource `EtcdRestore`: a cluster from a backup, in place of what it has, or as a new one. */
import type { Parsed, StoreSpec } from './backup-spec.ts';
import { parsed, readStore } from './backup-spec.ts';
import { FieldReader, type Fields } from './fields.ts';

/** What is restored, from where, and what opens it. */
export interface RestoreSource {
  readonly store: StoreSpec;
  readonly passphraseSecret: string | null;
  readonly identitySecret: string | null;
  /** Empty: the newest that is in the store. */
  readonly backupName: string;
  /** With the changes up to that moment, or `newest`, where the cluster has brought them to the store; null: the backup alone. */
  readonly toTime: string | null;
}

export type WantedSource =
  /** An `EtcdBackup`. */
  | { readonly kind: 'backup'; readonly name: string; readonly toTime: string | null }
  | { readonly kind: 'store'; readonly source: RestoreSource };

export interface RestoreSpec {
  readonly clusterName: string;
  readonly source: WantedSource;
  /** Whether a cluster that has data gives it up. */
  readonly replacesData: boolean;
  /** The declaration of the cluster, where there is none of that name; null: it is waited for. */
  readonly clusterTemplate: Fields | null;
}

export function parseRestoreSpec(value: unknown): Parsed<RestoreSpec> {
  const reader = new FieldReader();
  const fields = reader.record(value, 'spec');
  return parsed(reader, {
    clusterName: reader.text(fields['clusterName'], 'spec.clusterName'),
    source: readSource(reader, reader.record(fields['source'], 'spec.source')),
    replacesData: reader.flag(fields['replacesData'], 'spec.replacesData'),
    clusterTemplate: reader.optionalRecord(fields['clusterTemplate'], 'spec.clusterTemplate'),
  });
}

function readSource(reader: FieldReader, fields: Fields): WantedSource {
  const toTime = reader.optionalText(fields['toTime'], 'spec.source.toTime');
  if (toTime !== null && toTime !== 'newest' && !/(?:Z|[+-]\d\d:?\d\d)$/i.test(toTime))
    reader.note('spec.source.toTime', 'must be a moment, as 2026-11-01T12:00:00Z, or newest');
  const backup = reader.optionalText(fields['backup'], 'spec.source.backup');
  if (backup !== null) return { kind: 'backup', name: backup, toTime };
  const encryption = reader.optionalRecord(fields['encryption'], 'spec.source.encryption') ?? {};
  const secret = (name: 'passphraseSecret' | 'identitySecret'): string | null =>
    reader.optionalText(encryption[name], `spec.source.encryption.${name}`);
  const source = {
    store: readStore(reader, fields['store'], 'spec.source.store'),
    passphraseSecret: secret('passphraseSecret'),
    identitySecret: secret('identitySecret'),
    backupName: reader.optionalText(fields['backupName'], 'spec.source.backupName') ?? '',
    toTime,
  };
  return { kind: 'store', source };
}
