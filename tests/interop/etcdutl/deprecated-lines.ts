/** Command lines of etcdctl that work on files, as etcd up to 3.5 has them, with every flag of theirs at least once. */
export const DEPRECATED_LINES: readonly string[] = [
  ...['simple', 'json', 'fields', 'table', 'protobuf', 'nonsense'].map(
    (format) => `--write-out=${format} snapshot status snapshot.db`,
  ),
  'snapshot status snapshot.db',
  'snapshot status without-hash.db -w json',
  'snapshot status',
  'snapshot status a b',
  'snapshot status nothing.db',
  'snap stat snapshot.db',
  'snapshot restore snapshot.db --data-dir made',
  '--data-dir made snapshot restore snapshot.db',
  '--data-dir=made/ snapshot restore snapshot.db',
  'snapshot --data-dir made restore snapshot.db',
  'snapshot restore snapshot.db',
  'snapshot restore snapshot.db --data-dir made --wal-dir made-wal',
  '--endpoints nowhere:1 --data-dir made snapshot restore snapshot.db',
  'snapshot restore snapshot.db --data-dir made --bump-revision 1000000000 --mark-compacted',
  'snapshot restore without-hash.db --skip-hash-check --data-dir made',
  'snapshot restore snapshot.db --data-dir made --name b --initial-cluster a=http://127.0.0.1:5001,b=http://127.0.0.1:5002 --initial-advertise-peer-urls http://127.0.0.1:5002 --initial-cluster-token=other',
  'snapshot restore',
  'snapshot restore snapshot.db --data-dir member',
  'snapshot restore snapshot.db --data-dir made --initial-memory-map-size 0',
  'snapshot restore snapshot.db --data-dir made --bump-revision 5',
  'snapshot restore snapshot.db --data-dir made --name nobody',
  ...['truncated', 'without-hash', 'tiny', 'flipped', 'nothing'].map(
    (name) => `snapshot restore ${name}.db --data-dir made`,
  ),
];

/** The same of `backup`, which etcdutl of etcd 3.5 is the last to have. */
export const BACKUP_LINES: readonly string[] = [
  'backup --data-dir member --backup-dir made',
  'backup --data-dir member --wal-dir member/member/wal --backup-dir made --backup-wal-dir made-wal --with-v3',
  'backup --data-dir nothing --backup-dir made',
  'backup --data-dir member',
  'backup --backup-dir made',
];
