/** What the member on this host is to be: its name, where it listens, and where its files are. */
import { isIP } from 'node:net';
import { join } from 'node:path';
import { ClusterError } from './cluster-error.ts';

export type InitSystem = 'systemd' | 'kubelet';

export const CLIENT_PORT = 2379;
export const PEER_PORT = 2380;
const LOOPBACK = '127.0.0.1';

export interface GivenSettings {
  /** Empty: the host's name. */
  readonly name: string;
  /** Empty: the address of the interface that leads out of here. */
  readonly bindAddress: string;
  readonly certsDir: string;
  readonly dataDir: string;
  readonly installDir: string;
  readonly podDir: string;
  readonly initSystem: string;
  readonly extraNames: readonly string[];
  readonly diskPriorities: readonly string[];
  readonly imageRepository: string;
  readonly version: string;
  /** Directory that stands for the root of the file system; empty for none. */
  readonly rootfs: string;
}

export interface HostFacts {
  readonly hostName: string;
  /** Of the interface with the default route; null where there is none. */
  readonly address: string | null;
  /** All of this host. */
  readonly addresses: readonly string[];
  readonly cpus: number;
}

export interface Settings extends Omit<GivenSettings, 'bindAddress' | 'initSystem' | 'version'> {
  readonly initSystem: InitSystem;
  readonly address: string;
  readonly peerUrl: string;
  readonly clientUrl: string;
  /** Of this member for whoever is on the same host. */
  readonly loopbackUrl: string;
  readonly image: string;
  readonly cpus: number;
}

/** Throws {@link ClusterError}. */
export function settingsOf(given: GivenSettings, host: HostFacts): Settings {
  const { initSystem, version, bindAddress, ...rest } = given;
  if (initSystem !== 'systemd' && initSystem !== 'kubelet') {
    throw new ClusterError(
      `[defaults] init system ${JSON.stringify(initSystem)} is neither systemd nor kubelet`,
    );
  }
  const name = given.name || host.hostName;
  // It stands in lists of name=url, in a file of variables, and in the subject of certificates.
  if (!/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(name)) {
    throw new ClusterError(
      `[defaults] a member can not be called ${JSON.stringify(name)}: up to 63 letters, digits, dots, dashes; give another --name`,
    );
  }
  checkPlain('--disk-priorities', given.diskPriorities);
  for (const priority of given.diskPriorities) {
    if (!/^[A-Z][A-Za-z]*=/.test(priority)) {
      throw new ClusterError(
        `[defaults] disk priority ${JSON.stringify(priority)} is no setting of a unit (Nice=-10)`,
      );
    }
  }
  checkPaths(given);
  const address = addressOf(bindAddress, host);
  for (const extra of given.extraNames) {
    if (isIP(extra) === 0 && !isName(extra)) {
      throw new ClusterError(`[defaults] ${JSON.stringify(extra)} is neither a name nor an address`);
    }
  }
  return {
    ...rest,
    name,
    initSystem,
    address,
    peerUrl: urlOf(address, PEER_PORT),
    clientUrl: urlOf(address, CLIENT_PORT),
    loopbackUrl: urlOf(LOOPBACK, CLIENT_PORT),
    image: `${given.imageRepository}:v${version.replace(/^v/, '')}`,
    cpus: host.cpus,
  };
}

function checkPaths({ certsDir, dataDir, installDir, podDir }: GivenSettings): void {
  const paths = {
    'certs-dir': certsDir,
    'data-dir': dataDir,
    'install-dir': installDir,
    'kubelet-pod-manifest-path': podDir,
  };
  for (const [flag, path] of Object.entries(paths)) {
    checkPlain(`--${flag}`, [path]);
    if (!path.startsWith('/') || join(path) === '/') {
      throw new ClusterError(`[defaults] --${flag} takes an absolute path, not ${JSON.stringify(path)}`);
    }
  }
}

/** What goes into files line by line has no lines of its own. */
function checkPlain(flag: string, values: readonly string[]): void {
  for (const value of values) {
    if (/[\p{Cc}"\\%$]/u.test(value)) {
      throw new ClusterError(
        `[defaults] ${flag} can not have ${JSON.stringify(value)}: no control characters, quotes, %, $ or backslashes`,
      );
    }
  }
}

function addressOf(given: string, host: HostFacts): string {
  if (given === '' || given === '0.0.0.0') {
    if (host.address !== null) return host.address;
    throw new ClusterError('[defaults] no interface leads out of this host; give --bind-address');
  }
  if (isIP(given) === 0)
    throw new ClusterError(`[defaults] invalid bind address ${JSON.stringify(given)}: invalid ip format`);
  if (!host.addresses.includes(given)) {
    throw new ClusterError(`[defaults] invalid bind address ${given}: not found in system interfaces`);
  }
  return given;
}

export function urlOf(host: string, port: number): string {
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function isName(text: string): boolean {
  const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
  return text.length <= 253 && new RegExp(`^(\\*\\.)?${label}(\\.${label})*$`, 'i').test(text);
}

/** Files of a host that have fixed places. */
export const PLACES = {
  unit: '/etc/systemd/system/etcd.service',
  environment: '/etc/etcd/etcd.env',
  etcdctlEnvironment: '/etc/etcd/etcdctl.env',
} as const;

/** Where a path of the host is: elsewhere where a directory stands for its root. */
export function placed({ rootfs }: Pick<Settings, 'rootfs'>, path: string): string {
  return rootfs === '' ? path : join(rootfs, path);
}
