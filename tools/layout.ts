/**
 * The layout of the sources: which package may import which, and inside a package that has rooms, which room may import
 * which. `tidy.ts` refuses everything else. Adding an edge is a design decision: see ARCHITECTURE.md.
 */

/** What may be imported, by importer. Importers stand in an order in which each has only those before it. */
export type Edges = Readonly<Record<string, readonly string[]>>;

export const PACKAGES: Edges = {
  base: [],
  api: ['base'],
  raft: ['base', 'api'],
  bbolt: ['base'],
  storage: ['base', 'api', 'raft', 'bbolt'],
  backup: ['base', 'api'],
  transport: ['base'],
  client: ['base', 'api', 'transport'],
  host: ['base', 'transport'],
  defrag: ['base', 'api', 'client', 'host'],
  server: ['base', 'api', 'raft', 'bbolt', 'storage', 'transport', 'client', 'host', 'backup', 'defrag'],
  proxy: ['base', 'api', 'transport', 'host', 'client'],
  etcd: ['base', 'host', 'server', 'proxy'],
  etcdutl: ['base', 'api', 'bbolt', 'storage', 'host', 'backup'],
  etcdctl: ['base', 'api', 'client', 'host', 'etcdutl', 'backup'],
  admin: ['base', 'api', 'client', 'host', 'etcdutl', 'backup'],
  operator: ['base', 'api', 'client', 'host', 'defrag', 'backup'],
  testing: ['base'],
  'test-server': ['base', 'client', 'server', 'testing'],
  sim: ['base', 'api', 'raft', 'bbolt', 'storage', 'transport', 'host', 'server', 'etcdutl', 'testing'],
};

/** By package: its folders, each of which shows its neighbours nothing but its `index.ts`. */
export const ROOMS: Readonly<Record<string, Edges>> = {
  server: {
    config: [],
    metrics: ['config'],
    auth: [],
    request: [],
    apply: ['config', 'metrics', 'auth', 'request'],
    peer: ['config', 'metrics'],
    integrity: ['config', 'metrics', 'peer'],
    consensus: ['config', 'metrics', 'request', 'peer'],
    cluster: ['config', 'metrics', 'request', 'peer', 'consensus'],
    boot: ['config', 'metrics', 'apply', 'peer'],
    discovery: ['config'],
    tracing: ['config'],
    member: [
      'config',
      'metrics',
      'auth',
      'request',
      'apply',
      'peer',
      'integrity',
      'consensus',
      'cluster',
      'boot',
    ],
    backups: ['config', 'metrics', 'member'],
    rpc: ['config', 'metrics', 'auth', 'request', 'apply', 'consensus', 'cluster'],
    serve: [
      'config',
      'metrics',
      'auth',
      'request',
      'peer',
      'boot',
      'discovery',
      'tracing',
      'member',
      'backups',
      'rpc',
    ],
  },
};
