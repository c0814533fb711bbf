/** New certificates in the place of old ones: the same names and rights, a new key, a new time. */
import { issueLeaf } from '@etcd/host/pki';
import { hostsOf, subjectFields } from '../pki/names-of.ts';
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
