/** The certificates of a host: made where they are missing, by an authority that is made once and taken everywhere. */
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { type Authority, issueAuthority, issueLeaf } from '@etcd/host/pki';
import { PairFiles } from '../pki/pair-files.ts';
import { ClusterError } from './cluster-error.ts';
import { placed, type Settings } from './settings.ts';

const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3650;
const LEAF_DAYS = 365;
const KEY_KIND = 'RSA-2048';
const AUTHORITY = 'ca';

export interface LocalCertificate {
  readonly baseName: string;
  readonly commonName: (memberName: string) => string;
  readonly usages: readonly ('client' | 'server')[];
  /** Whether it stands for this host. */
  readonly isServing: boolean;
}

export const LOCAL_CERTIFICATES: readonly LocalCertificate[] = [
  { baseName: 'server', commonName: (name) => name, usages: ['server', 'client'], isServing: true },
  { baseName: 'peer', commonName: (name) => name, usages: ['server', 'client'], isServing: true },
  {
    baseName: 'etcdctl-etcd-client',
    commonName: (name) => `${name}-etcdctl`,
    usages: ['client'],
    isServing: false,
  },
  {
    baseName: 'apiserver-etcd-client',
    commonName: (name) => `${name}-kube-apiserver-etcd-client`,
    usages: ['client'],
    isServing: false,
  },
];
const CLIENTS_ORGANIZATION = 'system:masters';

type Output = (text: string) => void;

/** @param makesAuthority whether this host founds the cluster; on others the authority has to be there. */
export async function ensureCertificates(
  settings: Settings,
  makesAuthority: boolean,
  say: Output,
  nowMs: number = Date.now(),
): Promise<void> {
  const files = new PairFiles(placed(settings, settings.certsDir));
  await ensureAuthority(files, makesAuthority, say, nowMs);
  for (const certificate of LOCAL_CERTIFICATES) await ensureLeaf(settings, files, certificate, say, nowMs);
}

async function ensureAuthority(
  files: PairFiles,
  mayMake: boolean,
  say: Output,
  nowMs: number,
): Promise<void> {
  if (files.hasCertificate(AUTHORITY)) {
    checkPeriod(files.certificatePath(AUTHORITY), files.certificate(AUTHORITY), nowMs);
    if (!files.certificate(AUTHORITY).ca) {
      throw new ClusterError(`[certificates] ${files.certificatePath(AUTHORITY)} is no authority`);
    }
    const keyless = files.hasKey(AUTHORITY) ? '' : ', without its key';
    return say(`[certificates] Using the authority ${files.certificatePath(AUTHORITY)}${keyless}`);
  }
  // One that can't be read is not one that is missing.
  refuseUnreadable(files, AUTHORITY);
  if (!mayMake) {
    throw new ClusterError(
      `[certificates] there is no ${files.certificatePath(AUTHORITY)}: copy ca.crt and ca.key there from a member of the cluster`,
    );
  }
  say(`[certificates] Making the authority ${files.certificatePath(AUTHORITY)}`);
  const issued = await issueAuthority({
    commonName: 'etcd-ca',
    validityMs: AUTHORITY_DAYS * DAY_MS,
    keyKind: KEY_KIND,
    nowMs,
  });
  files.write(AUTHORITY, issued.certificatePem, issued.key);
}

async function ensureLeaf(
  settings: Settings,
  files: PairFiles,
  certificate: LocalCertificate,
  say: Output,
  nowMs: number,
): Promise<void> {
  const { baseName } = certificate;
  const hosts = certificate.isServing ? servedHosts(settings) : [];
  if (files.hasCertificate(baseName)) {
    checkKept(files, baseName, hosts, nowMs);
    return say(`[certificates] Using ${files.certificatePath(baseName)}`);
  }
  refuseUnreadable(files, baseName);
  const authority = authorityOf(files, baseName);
  const issued = await issueLeaf(authority, {
    commonName: certificate.commonName(settings.name),
    organizations: certificate.isServing ? [] : [CLIENTS_ORGANIZATION],
    usages: certificate.usages,
    hosts,
    validityMs: LEAF_DAYS * DAY_MS,
    keyKind: KEY_KIND,
    nowMs,
  });
  files.write(baseName, issued.certificatePem, issued.key);
  const names = hosts.length === 0 ? '' : ` for ${hosts.join(', ')}`;
  say(`[certificates] Made ${files.certificatePath(baseName)}${names}`);
}

export function authorityOf(files: PairFiles, forWhat: string): Authority {
  if (!files.hasKey(AUTHORITY)) {
    throw new ClusterError(
      `[certificates] ${forWhat} can not be made: there is no key of the authority at ${files.keyPath(AUTHORITY)}`,
    );
  }
  const authority = { certificate: files.certificate(AUTHORITY), key: files.key(AUTHORITY) };
  if (authority.certificate.checkPrivateKey(authority.key)) return authority;
  throw new ClusterError(
    `[certificates] ${files.keyPath(AUTHORITY)} is not the key of ${files.certificatePath(AUTHORITY)}`,
  );
}

/** A pair of which one half is there is somebody's, and is not written over. */
function refuseUnreadable(files: PairFiles, baseName: string): void {
  try {
    files.certificate(baseName);
  } catch (error) {
    if ((error as { problem?: string }).problem !== 'missing') throw error;
  }
  if (!files.hasKey(baseName)) return;
  throw new ClusterError(
    `[certificates] there is ${files.keyPath(baseName)}, but not its certificate ${files.certificatePath(baseName)}`,
  );
}

function checkKept(files: PairFiles, baseName: string, hosts: readonly string[], nowMs: number): void {
  const path = files.certificatePath(baseName);
  const certificate = files.certificate(baseName);
  const authority = files.certificate(AUTHORITY);
  checkPeriod(path, certificate, nowMs);
  if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey)) {
    throw new ClusterError(`[certificates] ${path} is not signed by ${files.certificatePath(AUTHORITY)}`);
  }
  if (!certificate.checkPrivateKey(files.key(baseName))) {
    throw new ClusterError(`[certificates] ${files.keyPath(baseName)} is not the key of ${path}`);
  }
  for (const host of hosts) {
    const stands = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host);
    if (stands !== undefined) continue;
    throw new ClusterError(
      `[certificates] ${path} does not stand for ${host}: move it and its key away, and it is made again`,
    );
  }
}

function checkPeriod(path: string, { validFrom, validTo }: X509Certificate, nowMs: number): void {
  if (nowMs > Date.parse(validTo)) {
    throw new ClusterError(
      `[certificates] ${path} expired on ${validTo}; etcdadm certs renew makes a new one`,
    );
  }
  if (nowMs < Date.parse(validFrom)) {
    throw new ClusterError(`[certificates] ${path} is not valid before ${validFrom}: is the clock right?`);
  }
}

function servedHosts({ name, address, extraNames }: Settings): string[] {
  return [...new Set([name, 'localhost', address, '127.0.0.1', ...extraNames])];
}
