/** How members and clients prove who they are: fields of the public `operator.etcd.io/v1alpha1`. */
import { isIP } from 'node:net';
import type { FieldReader, Fields } from './fields.ts';

const DAY_MS = 86_400_000;
const MIN_VALIDITY_MS = 3_600_000;
/** Half of what the operator's own authority lives. */
const MAX_VALIDITY_MS = 1825 * DAY_MS;
const AUTO_VALIDITY_MS = 365 * DAY_MS;
const MANAGED_VALIDITY_MS = 90 * DAY_MS;

export interface Issuer {
  readonly kind: 'Issuer' | 'ClusterIssuer';
  readonly name: string;
}

export interface TlsSpec {
  /** Who makes the certificates; null: the operator, with an authority for this cluster alone. Else an issuer of cert-manager. */
  readonly issuer: Issuer | null;
  /** null: the cluster's name. */
  readonly commonName: string | null;
  readonly organizations: readonly string[];
  /** Other names of the members, as users reach them. */
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly validityMs: number;
  /** With an issuer: a secret whose `ca.crt` members trust in place of that which comes with each certificate. */
  readonly caBundleSecret: string | null;
}

/** @param value `spec.tls` */
export function readTls(reader: FieldReader, value: unknown): TlsSpec | null {
  const tls = reader.optionalRecord(value, 'spec.tls');
  if (tls === null) return null;
  const provider = reader.choice(tls['provider'], 'spec.tls.provider', ['auto', 'cert-manager']);
  const all = reader.optionalRecord(tls['providerCfg'], 'spec.tls.providerCfg') ?? {};
  const key = provider === 'auto' ? 'autoCfg' : 'certManagerCfg';
  const field = `spec.tls.providerCfg.${key}`;
  const config = reader.optionalRecord(all[key], field) ?? {};
  const altNames = reader.optionalRecord(config['altNames'], `${field}.altNames`) ?? {};
  const ipAddresses = reader.texts(altNames['ipAddresses'], `${field}.altNames.ipAddresses`);
  for (const address of ipAddresses)
    if (isIP(address) === 0) reader.note(`${field}.altNames.ipAddresses`, `${address} is no address`);
  return {
    issuer: provider === 'auto' ? null : readIssuer(reader, config, field),
    commonName: reader.optionalText(config['commonName'], `${field}.commonName`),
    organizations: reader.texts(config['organizations'], `${field}.organizations`),
    dnsNames: reader.texts(altNames['dnsNames'], `${field}.altNames.dnsNames`),
    ipAddresses,
    validityMs: reader.durationMs(
      config['validityDuration'],
      `${field}.validityDuration`,
      MIN_VALIDITY_MS,
      MAX_VALIDITY_MS,
      provider === 'auto' ? AUTO_VALIDITY_MS : MANAGED_VALIDITY_MS,
    ),
    caBundleSecret: readBundle(reader, config, field, provider === 'auto'),
  };
}

function readIssuer(reader: FieldReader, config: Fields, field: string): Issuer {
  const kind = reader.choice(config['issuerKind'], `${field}.issuerKind`, ['Issuer', 'ClusterIssuer']);
  return { kind, name: reader.text(config['issuerName'], `${field}.issuerName`) };
}

function readBundle(reader: FieldReader, config: Fields, field: string, isAuto: boolean): string | null {
  const secret = reader.optionalText(config['caBundleSecret'], `${field}.caBundleSecret`);
  if (secret !== null && isAuto)
    reader.note(`${field}.caBundleSecret`, "is for issuers; the operator's authority is in NAME-ca-tls");
  return secret;
}
