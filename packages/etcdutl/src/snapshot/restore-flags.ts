/** The flags of `snapshot restore`, apart from what it does: reading a command line loads no database. */
import type { FlagDefinition } from '@etcd/host/cli';

const DEFAULT_NAME = 'default';
const DEFAULT_PEER_URLS = 'http://localhost:2380';

export const RESTORE_FLAGS: readonly FlagDefinition[] = [
  { name: 'data-dir', type: 'string', usage: 'data directory to make (default <name>.etcd)' },
  {
    name: 'wal-dir',
    type: 'string',
    usage: 'directory for the log, if it is not to be in the data directory',
  },
  {
    name: 'initial-cluster',
    type: 'string',
    default: `${DEFAULT_NAME}=${DEFAULT_PEER_URLS}`,
    usage: 'members of the new cluster, as name=url,name=url',
  },
  {
    name: 'initial-cluster-token',
    type: 'string',
    default: 'etcd-cluster',
    usage: 'token of the new cluster, the same for all its members',
  },
  {
    name: 'initial-advertise-peer-urls',
    type: 'string',
    default: DEFAULT_PEER_URLS,
    usage: 'peer URLs of this member',
  },
  { name: 'name', type: 'string', default: DEFAULT_NAME, usage: 'name of this member' },
  {
    name: 'skip-hash-check',
    type: 'bool',
    usage: 'take a file without a digest, or with a wrong one, as one that was copied from a data directory',
  },
  {
    name: 'initial-memory-map-size',
    type: 'uint',
    default: '10737418240',
    usage: 'read for the sake of scripts: nothing is mapped here',
  },
  { name: 'bump-revision', type: 'uint', usage: 'how far the revision is to jump' },
  {
    name: 'mark-compacted',
    type: 'bool',
    usage: 'count everything before that as compacted (required with --bump-revision, and only then)',
  },
];
