/** The certificates of a cluster as far as decisions rest on them: who signed them, whom they make one trust, and until when. */
import { MAX_SIZE } from '../resources/etcd-cluster.ts';
import type { TlsSpec } from '../resources/tls-spec.ts';
import { memberHost } from './names.ts';

/** For clients to see, for other members to see, for users' clients, and for the operator. */
export const ROLES = ['server', 'peer', 'client', 'operator'] as const;
export type Role = (typeof ROLES)[number];

/** Where Kubernetes is not told another, its names end so. */
const CLUSTER_DOMAIN = 'cluster.local';
const HOUR_MS = 3_600_000;
/** Of a validity: so much is left when a certificate is renewed, and when somebody is told that it was not. */
const RENEWAL_SHARE = 1 / 3;
const WARNING_SHARE = 1 / 5;
/** A third of a day's validity is less than it may take to find somebody who looks. */
const LEAST_WARNING_MS = HOUR_MS;

export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface TrustedAuthority {
  readonly id: string;
  readonly notAfterMs: number;
}

/** The operator's own authority for one cluster. */
export interface SeenAuthority extends Validity {
  readonly id: string;
  /** With those from before. */
  readonly trusted: readonly TrustedAuthority[];
  readonly resourceVersion: string;
}

export interface SeenCertificate extends Validity {
  readonly role: Role;
  /** Of those in {@link trustedIds}, who has signed it; null: none. */
  readonly issuerId: string | null;
  readonly trustedIds: readonly string[];
  /** Whether it is for the names, and the person, that it should be for. */
  readonly isAsDeclared: boolean;
  readonly resourceVersion: string;
}

export interface SeenCertificates {
  /** null: there is none, or cert-manager makes the certificates. */
  readonly authority: SeenAuthority | null;
  readonly certificates: readonly SeenCertificate[];
  /** Whether cert-manager has been asked for what is declared. */
  readonly isRequested: boolean;
}

export const secretName = (cluster: string, role: Role | 'ca'): string => `${cluster}-${role}-tls`;

/** Whom a certificate names. The operator's is root's: with users, it goes on as before. */
export function commonNameOf(cluster: string, tls: TlsSpec, role: Role): string {
  if (role === 'operator') return 'root';
  return tls.commonName ?? (role === 'client' ? `${cluster}-client` : cluster);
}

/** Names and addresses that a certificate stands for. */
export function hostsOf(cluster: string, namespace: string, tls: TlsSpec, role: Role): string[] {
  if (role === 'client' || role === 'operator') return [];
  const members = Array.from({ length: MAX_SIZE }, (_, i) => memberHost(cluster, namespace, i));
  const services = [`${cluster}.${namespace}.svc`, `${cluster}-client.${namespace}.svc`];
  const short = [cluster, `${cluster}-client`, `${cluster}-client.${namespace}`];
  const named = role === 'peer' ? members : [...members, ...services];
  const own = named.flatMap((name) => [name, `${name}.${CLUSTER_DOMAIN}`]);
  const local = role === 'peer' ? [] : [...short, 'localhost', '127.0.0.1', '::1'];
  return [...new Set([...own, ...local, ...tls.dnsNames, ...tls.ipAddresses])];
}

export const isExpired = ({ notAfterMs }: { readonly notAfterMs: number }, nowMs: number): boolean =>
  notAfterMs <= nowMs;

export function isDue({ notBeforeMs, notAfterMs }: Validity, nowMs: number): boolean {
  return notAfterMs - nowMs < (notAfterMs - notBeforeMs) * RENEWAL_SHARE;
}

export function isNearExpiry({ notBeforeMs, notAfterMs }: Validity, nowMs: number): boolean {
  const warningMs = Math.min(
    (notAfterMs - notBeforeMs) * RENEWAL_SHARE,
    Math.max(LEAST_WARNING_MS, (notAfterMs - notBeforeMs) * WARNING_SHARE),
  );
  return notAfterMs - nowMs < warningMs;
}

/** Whom a member that is started now would trust, in any of its roles. */
export function trustOf(seen: SeenCertificates | null): string[] {
  const members = seen?.certificates.filter(({ role }) => role === 'server' || role === 'peer') ?? [];
  return [...new Set(members.flatMap(({ trustedIds }) => trustedIds))].sort();
}
