/**
 * Certificates before all else: without them no member starts, and nobody can ask one.
 *
 * An authority that is replaced is trusted by every member before anything that it signs is used: first the secrets name both, then members
 * are restarted one by one (a member reads whom it trusts when it starts), and only then certificates are made anew. Those are read at each
 * handshake, so that nobody is restarted for them.
 */
import type { EtcdClusterSpec } from '../resources/etcd-cluster.ts';
import { act, type Decision, wait } from './action.ts';
import {
  isDue,
  isExpired,
  ROLES,
  type Role,
  type SeenAuthority,
  type SeenCertificate,
  type SeenCertificates,
  secretName,
} from './certificates.ts';
import type { Observed } from './observed.ts';

/** An authority signs nothing that outlives it: it is replaced when so much of its life is left. */
const AUTHORITY_SHARE = 1 / 2;

export function certify(seen: Observed, spec: EtcdClusterSpec): Decision | null {
  const { certificates } = seen;
  if (spec.tls === null || certificates === null) return null;
  if (spec.tls.issuer !== null) return awaitManager(seen, certificates);
  const { authority } = certificates;
  if (authority === null)
    return act({ kind: 'make-authority', resourceVersion: null }, 'Certifying', 'an authority is made');
  const { resourceVersion } = authority;
  const lifeMs = authority.notAfterMs - authority.notBeforeMs;
  if (authority.notAfterMs - seen.nowMs < lifeMs * AUTHORITY_SHARE)
    return act(
      { kind: 'make-authority', resourceVersion },
      'Certifying',
      'the next authority is made; it signs when all members trust it',
    );
  if (authority.trusted.some((one) => isExpired(one, seen.nowMs)))
    return act(
      { kind: 'retire-authorities', resourceVersion },
      'Certifying',
      'an authority has expired, and is trusted no longer',
    );
  return spreadTrust(certificates, authority) ?? issueNext(seen, certificates, authority);
}

function spreadTrust({ certificates }: SeenCertificates, { trusted }: SeenAuthority): Decision | null {
  const wanted = new Set(trusted.map(({ id }) => id));
  const old = certificates.find(
    ({ trustedIds }) => trustedIds.length !== wanted.size || !trustedIds.every((id) => wanted.has(id)),
  );
  if (old === undefined) return null;
  const { role, resourceVersion } = old;
  const what = `whoever has the certificate ${role} is told whom to trust`;
  return act({ kind: 'spread-trust', role, resourceVersion }, 'Certifying', what);
}

function issueNext(seen: Observed, all: SeenCertificates, authority: SeenAuthority): Decision | null {
  const isTrusted = isTrustedBy(seen.pods, authority);
  for (const role of ROLES) {
    const current = all.certificates.find((one) => one.role === role) ?? null;
    const why = whyIssue(current, authority, seen.nowMs);
    if (why === null || !(isTrusted || why.isUrgent)) continue;
    const resourceVersion = current?.resourceVersion ?? null;
    return act(
      { kind: 'issue-certificate', role, resourceVersion },
      'Certifying',
      `the certificate ${role} ${why.problem}, and is made`,
    );
  }
  return null;
}

/** Whether certificates are due that the authority can't sign before members have been restarted to trust it. */
export function awaitsRestarts({ certificates, pods, nowMs }: Observed): boolean {
  const authority = certificates?.authority ?? null;
  if (authority === null || isTrustedBy(pods, authority)) return false;
  return certificates!.certificates.some((one) => isDue(one, nowMs));
}

const isTrustedBy = (pods: Observed['pods'], { id }: SeenAuthority): boolean =>
  pods.every(({ trustedIds }) => trustedIds.includes(id));

/** Why a certificate has to be made; null: it is good. One that is of no use to anybody can't get worse. */
function whyIssue(
  current: SeenCertificate | null,
  authority: SeenAuthority,
  nowMs: number,
): { readonly problem: string; readonly isUrgent: boolean } | null {
  if (current === null) return { problem: 'is not there', isUrgent: true };
  if (isExpired(current, nowMs)) return { problem: 'has expired', isUrgent: true };
  if (isDue(current, nowMs)) return { problem: 'expires soon', isUrgent: false };
  if (!current.isAsDeclared) return { problem: 'is for other names', isUrgent: false };
  if (current.issuerId !== authority.id)
    return { problem: 'is signed by another authority', isUrgent: false };
  return null;
}

function awaitManager(seen: Observed, { certificates, isRequested }: SeenCertificates): Decision | null {
  if (!isRequested) {
    const what = 'cert-manager is asked for certificates';
    return act({ kind: 'request-certificates' }, 'Certifying', what);
  }
  // Members that have theirs go on; what is missing is in the status.
  if (seen.record?.isFounded === true) return null;
  const missing = ROLES.filter((role: Role) => !certificates.some((one) => one.role === role));
  if (missing.length === 0) return null;
  const secrets = missing.map((role) => secretName(seen.name, role));
  return wait('Creating', 'AwaitingCertificates', `cert-manager has not made ${secrets.join(', ')} yet`);
}
