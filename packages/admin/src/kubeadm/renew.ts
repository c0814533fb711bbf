/** New certificates in the place of old ones: the same names and rights, a new key, a new time. */
import type { X509Certificate } from 'node:crypto';
import { issueLeaf } from '@etcd/host/pki';
import { PairFiles } from '../pki/pair-files.ts';
import { type CertificateSpec, ETCD_AUTHORITY } from './certificates.ts';
import type { ClusterConfig } from './cluster-config.ts';

/** Throws `PairError` when the certificate, or the authority's key, is not there; nothing is changed then. */
export async function renewCertificate(
  config: ClusterConfig,
  directory: string,
  spec: CertificateSpec,
  nowMs: number = Date.now(),
): Promise<void> {
  const files = new PairFiles(directory);
  const old = files.certificate(spec.baseName);
  const { baseName } = ETCD_AUTHORITY;
  const authority = { certificate: files.certificate(baseName), key: files.key(baseName) };
  const issued = await issueLeaf(authority, {
    commonName: subjectFields(old, 'CN')[0] ?? spec.commonName(config),
    organizations: subjectFields(old, 'O'),
    usages: spec.usages,
    hosts: hostsOf(old),
    validityMs: config.validityMs,
    keyKind: config.keyKind,
    nowMs,
  });
  files.write(spec.baseName, issued.certificatePem, issued.key);
}

function subjectFields({ subject }: X509Certificate, field: string): string[] {
  return [...subject.matchAll(new RegExp(`^${field}=(.*)$`, 'gm'))].map(([, value]) => value!);
}

function hostsOf({ subjectAltName }: X509Certificate): string[] {
  const entries = subjectAltName?.split(', ') ?? [];
  return entries.flatMap((entry) => /^(?:DNS|IP Address):(.*)$/.exec(entry)?.[1] ?? []);
}
