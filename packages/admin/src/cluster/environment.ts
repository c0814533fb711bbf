/** The variables that a member is configured with, and the files that hold them. */
import { join } from 'node:path';
import { readIfThere } from './files.ts';
import { PLACES, placed, type Settings } from './settings.ts';

export interface InitialCluster {
  readonly state: 'new' | 'existing';
  /** As `name=url,name=url`. */
  readonly members: string;
  /** Of a new cluster; null for one that exists. */
  readonly token: string | null;
}

/** In sections, each of which has a heading. */
type Sections = Readonly<Record<string, Readonly<Record<string, string>>>>;

export function memberVariables(settings: Settings, initial: InitialCluster): Sections {
  const certificate = (name: string): string => join(settings.certsDir, name);
  return {
    Member: {
      ETCD_NAME: settings.name,
      ETCD_DATA_DIR: settings.dataDir,
      ETCD_STRICT_RECONFIG_CHECK: 'true',
      GOMAXPROCS: String(settings.cpus),
    },
    'The cluster, until the member has joined it': {
      ETCD_INITIAL_CLUSTER: initial.members,
      ...(initial.token === null ? {} : { ETCD_INITIAL_CLUSTER_TOKEN: initial.token }),
      ETCD_INITIAL_CLUSTER_STATE: initial.state,
    },
    'Other members': {
      ETCD_INITIAL_ADVERTISE_PEER_URLS: settings.peerUrl,
      ETCD_LISTEN_PEER_URLS: settings.peerUrl,
      ETCD_PEER_CLIENT_CERT_AUTH: 'true',
      ETCD_PEER_CERT_FILE: certificate('peer.crt'),
      ETCD_PEER_KEY_FILE: certificate('peer.key'),
      ETCD_PEER_TRUSTED_CA_FILE: certificate('ca.crt'),
    },
    Clients: {
      ETCD_ADVERTISE_CLIENT_URLS: settings.clientUrl,
      ETCD_LISTEN_CLIENT_URLS:
        settings.clientUrl === settings.loopbackUrl
          ? settings.clientUrl
          : `${settings.clientUrl},${settings.loopbackUrl}`,
      ETCD_CLIENT_CERT_AUTH: 'true',
      ETCD_CERT_FILE: certificate('server.crt'),
      ETCD_KEY_FILE: certificate('server.key'),
      ETCD_TRUSTED_CA_FILE: certificate('ca.crt'),
    },
  };
}

export function environmentText(sections: Sections): string {
  const parts = Object.entries(sections).map(([heading, variables]) => {
    const lines = Object.entries(variables).map(([name, value]) => `${name}=${quoted(value)}`);
    return [`# ${heading}`, ...lines, ''].join('\n');
  });
  return parts.join('\n');
}

/** As systemd and a shell both read it; nothing that needs an escape gets this far. */
function quoted(value: string): string {
  return /^[A-Za-z0-9_./:,=@+-]*$/.test(value) ? value : `"${value}"`;
}

export type Variables = ReadonlyMap<string, string>;

/** What an earlier run wrote; null where none did. */
export function writtenVariables(settings: Pick<Settings, 'rootfs'>): Variables | null {
  const text = readIfThere(placed(settings, PLACES.environment));
  if (text === null) return null;
  const variables = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^([A-Z][A-Z0-9_]*)=("?)(.*)\2$/.exec(line.trim());
    if (match !== null) variables.set(match[1]!, match[3]!);
  }
  return variables;
}

/** Without endpoints: a flag of the same meaning would be refused beside the variable, and the tool's own default is this host. */
export function etcdctlEnvironment({ certsDir }: Settings): string {
  const variables = {
    ETCDCTL_API: '3',
    ETCDCTL_CACERT: join(certsDir, 'ca.crt'),
    ETCDCTL_CERT: join(certsDir, 'etcdctl-etcd-client.crt'),
    ETCDCTL_KEY: join(certsDir, 'etcdctl-etcd-client.key'),
    ETCDCTL_DIAL_TIMEOUT: '3s',
  };
  return Object.entries(variables)
    .map(([name, value]) => `export ${name}=${quoted(value)}\n`)
    .join('');
}

export function etcdctlWrapper({ installDir }: Settings): string {
  const program = join(installDir, 'etcdctl');
  return `#!/bin/sh
# Runs etcdctl as a client that the member on this host lets in.
if [ ! -r ${PLACES.etcdctlEnvironment} ]; then
  echo "${PLACES.etcdctlEnvironment} can not be read; run this as root" >&2
  exit 1
fi
. ${PLACES.etcdctlEnvironment}
exec "${program}" "$@"
`;
}
