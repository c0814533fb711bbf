/** New certificates in the place of old ones: the same names and rights, a new key, a new time. */
import type { X509Certificate } from 'node:crypto';
import { issueLeaf } from '../pki/issue.ts';
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
    commonName: subjectField(old, 'CN') ?? spec.commonName(config),
    organization: subjectField(old, 'O'),
    usages: spec.usages,
    hosts: hostsOf(old),
    validityMs: config.validityMs,
    keyKind: config.keyKind,
    nowMs,
  });
  files.write(spec.baseName, issued.certificatePem, issued.key);
}

function subjectField({ subject }: X509Certificate, field: string): string | null {
  return new RegExp(`^${field}=(.*)$`, 'm').exec(subject)?.[1] ?? null;
}

function hostsOf({ subjectAltName }: X509Certificate): string[] {
  const entries = subjectAltName?.split(', ') ?? [];
  return entries.flatMap((entry) => /^(?:DNS|IP Address):(.*)$/.exec(entry)?.[1] ?? []);
}
