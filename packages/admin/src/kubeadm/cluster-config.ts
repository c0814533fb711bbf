/**
 * What a configuration file of kubeadm says about its etcd: `kubeadm.k8s.io/v1beta2` to `v1beta4`, several documents in one file, each
 * optional. Fields that are none are warned of and passed over, as kubeadm does, and so are documents that are for others.
 */
import { isIP } from 'node:net';
import { join } from 'node:path';
import { parseGoDuration } from '@etcd/host/args';
import { isKeyKind, type KeyKind } from '@etcd/host/pki';
import { LineCounter, parseAllDocuments } from 'yaml';
import { plainValue } from '../patches/plain-value.ts';
import { ConfigError } from './config-error.ts';
import type { NodeFacts } from './node-facts.ts';
import { defaultRepository, type Release, releaseOf } from './release.ts';

export interface NamedValue {
  readonly name: string;
  readonly value: string;
}

export interface ClusterConfig {
  readonly release: Release;
  readonly nodeName: string;
  /** Null when neither the file nor the machine says. */
  readonly advertiseAddress: string | null;
  readonly certificatesDir: string;
  readonly imageRepository: string;
  readonly keyKind: KeyKind;
  readonly validityMs: number;
  readonly authorityValidityMs: number;
  readonly etcd: LocalEtcd;
  /** With patches for what is made; empty for none. */
  readonly patchesDir: string;
  /** Whether the etcd is somebody else's: then nothing is made for it. */
  readonly isExternal: boolean;
}

export interface LocalEtcd {
  readonly dataDir: string;
  readonly imageRepository: string;
  readonly imageTag: string;
  readonly extraArgs: readonly NamedValue[];
  readonly extraEnvs: readonly Record<string, unknown>[];
  readonly serverCertSANs: readonly string[];
  readonly peerCertSANs: readonly string[];
}

export interface ConfigFlags {
  readonly certDir: string;
  readonly kubernetesVersion: string;
  readonly imageRepository: string;
}

const API = /^kubeadm\.k8s\.io\/(v1beta[234])$/;
const DAY_MS = 86_400_000;
const VALIDITY_MS = 365 * DAY_MS;
const AUTHORITY_VALIDITY_MS = 10 * VALIDITY_MS;
export const DEFAULT_CERTIFICATES_DIR = '/etc/kubernetes/pki';
const DEFAULT_DATA_DIR = '/var/lib/etcd';

type Fields = Readonly<Record<string, unknown>>;

/** What is known of the fields that matter here; those that are for other parts of a cluster are any name's. */
const ETCD_FIELDS = new Set(['local', 'external']);
const LOCAL_FIELDS = new Set([
  'dataDir',
  'extraArgs',
  'extraEnvs',
  'imageRepository',
  'imageTag',
  'peerCertSANs',
  'serverCertSANs',
]);

/** Reads the documents of a file. Throws {@link ConfigError}; `warn` hears of what is passed over. */
export function readDocuments(text: string, path: string, warn: (text: string) => void): Map<string, Fields> {
  const lines = new LineCounter();
  const found = new Map<string, Fields>();
  for (const document of parseAllDocuments(text, { lineCounter: lines })) {
    const [problem] = document.errors ?? [];
    if (problem !== undefined) {
      throw new ConfigError(
        `${path}:${lines.linePos(problem.pos[0]).line}: ${problem.message.split('\n')[0]}`,
      );
    }
    const fields = fieldsIn(document, path);
    if (fields === null) continue;
    const { apiVersion, kind } = fields;
    if (typeof kind !== 'string' || typeof apiVersion !== 'string') {
      throw new ConfigError(
        `${path}: invalid configuration: kind and apiVersion is mandatory information that must be specified`,
      );
    }
    if (API.test(apiVersion)) {
      if (found.has(kind))
        throw new ConfigError(`${path}: invalid configuration: kind ${kind} is specified twice in YAML file`);
      found.set(kind, fields);
    } else if (apiVersion.startsWith('kubeadm.k8s.io/')) {
      throw new ConfigError(
        `${path}: your configuration file uses an API spec that is not supported: ${apiVersion}`,
      );
    } else if (!/^(kubelet|kubeproxy)\.config\.k8s\.io\//.test(apiVersion)) {
      warn(`ignored YAML document with apiVersion ${apiVersion}, kind ${kind}`);
    }
  }
  return found;
}

function fieldsIn(document: { toJS(): unknown }, path: string): Fields | null {
  try {
    return fieldsOf(plainValue(document));
  } catch (error) {
    throw new ConfigError(`${path}: ${(error as Error).message}`);
  }
}

/** Puts together what the file, the flags and the machine say. Throws {@link ConfigError}. */
export function clusterConfig(
  documents: ReadonlyMap<string, Fields>,
  flags: ConfigFlags,
  facts: NodeFacts,
  warn: (text: string) => void,
): ClusterConfig {
  const cluster = documents.get('ClusterConfiguration') ?? {};
  const init = documents.get('InitConfiguration') ?? {};
  const etcd = fieldsOf(cluster['etcd']) ?? {};
  warnOfUnknown(etcd, ETCD_FIELDS, 'etcd', warn);
  const local = fieldsOf(etcd['local']);
  const external = fieldsOf(etcd['external']);
  if (local !== null && external !== null) {
    throw new ConfigError('etcd: Invalid value: "": .Etcd.Local and .Etcd.External are mutually exclusive');
  }
  warnOfUnknown(local ?? {}, LOCAL_FIELDS, 'etcd.local', warn);
  const release = releaseOf(flags.kubernetesVersion || textOf(cluster, 'kubernetesVersion'));
  const imageRepository =
    flags.imageRepository || textOf(cluster, 'imageRepository') || defaultRepository(release);
  const registration = fieldsOf(init['nodeRegistration']) ?? {};
  const endpoint = fieldsOf(init['localAPIEndpoint']) ?? {};
  return {
    release,
    nodeName: (textOf(registration, 'name') || facts.hostName).trim().toLowerCase(),
    advertiseAddress: addressOf(textOf(endpoint, 'advertiseAddress')) ?? facts.address,
    certificatesDir: flags.certDir || textOf(cluster, 'certificatesDir') || DEFAULT_CERTIFICATES_DIR,
    imageRepository,
    keyKind: keyKindOf(cluster),
    validityMs: durationOf(cluster, 'certificateValidityPeriod', VALIDITY_MS),
    authorityValidityMs: durationOf(cluster, 'caCertificateValidityPeriod', AUTHORITY_VALIDITY_MS),
    etcd: localEtcd(local ?? {}, imageRepository, release),
    patchesDir: textOf(fieldsOf(init['patches']) ?? {}, 'directory'),
    isExternal: external !== null,
  };
}

function localEtcd(local: Fields, repository: string, release: Release): LocalEtcd {
  return {
    dataDir: textOf(local, 'dataDir') || DEFAULT_DATA_DIR,
    imageRepository: textOf(local, 'imageRepository') || repository,
    imageTag: textOf(local, 'imageTag') || release.images.etcd,
    extraArgs: argumentsOf(local['extraArgs']),
    extraEnvs: listOf(local, 'extraEnvs').map((one) => ({ ...fieldsOf(one) })),
    serverCertSANs: listOf(local, 'serverCertSANs').map(String),
    peerCertSANs: listOf(local, 'peerCertSANs').map(String),
  };
}

/** A map until v1beta3, a list from v1beta4 on. */
function argumentsOf(value: unknown): NamedValue[] {
  if (Array.isArray(value)) {
    return value.map((one) => {
      const fields = fieldsOf(one) ?? {};
      return { name: textOf(fields, 'name'), value: textOf(fields, 'value') };
    });
  }
  return Object.entries(fieldsOf(value) ?? {}).map(([name, text]) => ({ name, value: String(text ?? '') }));
}

function warnOfUnknown(
  fields: Fields,
  known: ReadonlySet<string>,
  path: string,
  warn: (text: string) => void,
): void {
  for (const name of Object.keys(fields)) {
    if (!known.has(name)) warn(`error unmarshaling configuration: unknown field "${path}.${name}"`);
  }
}

/** A loopback address is nobody's to reach: then the machine is asked. */
function addressOf(text: string): string | null {
  if (text === '') return null;
  if (isIP(text) === 0) {
    throw new ConfigError(
      `localAPIEndpoint.advertiseAddress: Invalid value: "${text}": ip address is not valid`,
    );
  }
  return /^(127\.|::1$)/.test(text) ? null : text;
}

function keyKindOf(cluster: Fields): KeyKind {
  const named = textOf(cluster, 'encryptionAlgorithm');
  if (named !== '') {
    if (isKeyKind(named)) return named;
    throw new ConfigError(`encryptionAlgorithm: Invalid value: "${named}": unknown encryption algorithm`);
  }
  const gates = fieldsOf(cluster['featureGates']) ?? {};
  return gates['PublicKeysECDSA'] === true ? 'ECDSA-P256' : 'RSA-2048';
}

function durationOf(cluster: Fields, name: string, otherwise: number): number {
  const text = textOf(cluster, name);
  if (text === '') return otherwise;
  const { durationMs, error } = parseGoDuration(text);
  if (durationMs === undefined) throw new ConfigError(`${name}: ${error}`);
  if (durationMs <= 0) throw new ConfigError(`${name}: Invalid value: "${text}": must be positive`);
  return durationMs;
}

function fieldsOf(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null;
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  return value === undefined || value === null ? '' : String(value);
}

function listOf(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name];
  return Array.isArray(value) ? value : [];
}

export function etcdCertificatesDir({ certificatesDir }: ClusterConfig): string {
  return join(certificatesDir, 'etcd');
}

export function etcdImageOf({ etcd }: ClusterConfig): string {
  return `${etcd.imageRepository}/etcd:${etcd.imageTag}`;
}
