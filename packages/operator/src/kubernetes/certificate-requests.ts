/** What cert-manager is asked for: one of its Certificates for each role. */

import { isIP } from 'node:net';
import type { KubernetesObject } from '@kubernetes/client-node';
import { commonNameOf, hostsOf, ROLES, secretName } from '../cluster/certificates.ts';
import { CLUSTER_LABEL, metadataOf, type Owner } from '../cluster/manifests.ts';

export interface CertificateRequest extends KubernetesObject {
  readonly spec: Readonly<Record<string, unknown>>;
}

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

export function certificateRequests(owner: Owner): CertificateRequest[] {
  const { tls } = owner.spec;
  if (tls?.issuer == null) return [];
  const { issuer, organizations, validityMs } = tls;
  return ROLES.map((role) => {
    const name = secretName(owner.name, role);
    const hosts = hostsOf(owner.name, owner.namespace, tls, role);
    const dnsNames = hosts.filter((host) => isIP(host) === 0);
    const ipAddresses = hosts.filter((host) => isIP(host) !== 0);
    return {
      apiVersion: 'cert-manager.io/v1',
      kind: 'Certificate',
      metadata: metadataOf(owner, name),
      spec: {
        secretName: name,
        // The operator looks at no other secrets than these.
        secretTemplate: { labels: { [CLUSTER_LABEL]: owner.name } },
        commonName: commonNameOf(owner.name, tls, role),
        ...(organizations.length === 0 ? {} : { subject: { organizations: [...organizations] } }),
        ...(dnsNames.length === 0 ? {} : { dnsNames }),
        ...(ipAddresses.length === 0 ? {} : { ipAddresses }),
        duration: goDuration(validityMs),
        // Members show theirs to each other as clients do; older ones call themselves, too.
        usages: role === 'server' || role === 'peer' ? ['server auth', 'client auth'] : ['client auth'],
        privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
        issuerRef: { kind: issuer.kind, name: issuer.name, group: 'cert-manager.io' },
      },
    };
  });
}

/** As Kubernetes writes it, so that what was asked for is what is found. */
function goDuration(ms: number): string {
  return `${Math.floor(ms / HOUR_MS)}h${Math.floor((ms % HOUR_MS) / MINUTE_MS)}m${Math.floor((ms % MINUTE_MS) / 1000)}s`;
}
