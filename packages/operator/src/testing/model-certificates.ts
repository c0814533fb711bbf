/** Secrets with certificates, as a decision sees them: an authority, those before it, and what it has signed. */
import type { Action } from '../cluster/action.ts';
import {
  isExpired,
  ROLES,
  type Role,
  type SeenCertificate,
  type SeenCertificates,
  type TrustedAuthority,
  trustOf,
} from '../cluster/certificates.ts';
import { Refused } from './refused.ts';

/** Short lives, so that all of a rotation comes about in a test, and long enough for nodes that are away meanwhile. */
const AUTHORITY_LIFE_MS = 1_600_000;
const CERTIFICATE_LIFE_MS = 800_000;

interface Authority {
  readonly id: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  trusted: readonly TrustedAuthority[];
  resourceVersion: string;
}

export class ModelCertificates {
  authority: Authority | null = null;
  readonly certificates = new Map<Role, SeenCertificate>();
  #count = 0;

  observe(): SeenCertificates {
    const { authority } = this;
    return {
      authority: authority === null ? null : { ...authority },
      certificates: [...this.certificates.values()],
      isRequested: false,
    };
  }

  /** Whom a pod is made to trust that is started now. */
  get trust(): string[] {
    return trustOf(this.observe());
  }

  /** Whether members can show, and believe, anything at all. */
  isUsable(nowMs: number): boolean {
    return (['server', 'peer'] as const).every((role) => {
      const one = this.certificates.get(role);
      return one !== undefined && !isExpired(one, nowMs);
    });
  }

  /** Throws {@link Refused}; false: it is not about certificates. */
  perform(action: Action, nowMs: number): boolean {
    switch (action.kind) {
      case 'make-authority': {
        requireVersion(this.authority?.resourceVersion, action.resourceVersion);
        const id = this.#version();
        const notAfterMs = nowMs + AUTHORITY_LIFE_MS;
        // An authority that is lost is still known to those whom it was trusted by.
        const before = this.authority?.trusted ?? this.#trustedByAny(nowMs);
        const good = before.filter((one) => one.notAfterMs > nowMs);
        const trusted = [{ id, notAfterMs }, ...good];
        this.authority = { id, notBeforeMs: nowMs, notAfterMs, trusted, resourceVersion: this.#version() };
        return true;
      }
      case 'retire-authorities': {
        const { authority } = this;
        requireVersion(authority?.resourceVersion, action.resourceVersion);
        if (authority === null) throw new Refused('no authority');
        authority.trusted = authority.trusted.filter((one) => one.notAfterMs > nowMs);
        authority.resourceVersion = this.#version();
        return true;
      }
      case 'issue-certificate':
        requireVersion(this.certificates.get(action.role)?.resourceVersion, action.resourceVersion);
        this.#issue(action.role, nowMs);
        return true;
      case 'spread-trust': {
        const found = this.certificates.get(action.role);
        requireVersion(found?.resourceVersion, action.resourceVersion);
        const trustedIds = this.#ids();
        this.certificates.set(action.role, {
          ...found!,
          trustedIds,
          resourceVersion: this.#version(),
        });
        return true;
      }
      default:
        return false;
    }
  }

  #issue(role: Role, nowMs: number): void {
    if (this.authority === null) throw new Refused('no authority');
    const notAfterMs = Math.min(nowMs + CERTIFICATE_LIFE_MS, this.authority.notAfterMs);
    this.certificates.set(role, {
      role,
      issuerId: this.authority.id,
      trustedIds: this.#ids(),
      notBeforeMs: nowMs,
      notAfterMs,
      isAsDeclared: true,
      resourceVersion: this.#version(),
    });
  }

  #trustedByAny(nowMs: number): TrustedAuthority[] {
    const ids = new Set(ROLES.flatMap((role) => this.certificates.get(role)?.trustedIds ?? []));
    return [...ids].map((id) => ({ id, notAfterMs: nowMs + AUTHORITY_LIFE_MS / 2 }));
  }

  #ids(): string[] {
    return this.authority?.trusted.map(({ id }) => id) ?? [];
  }

  #version(): string {
    return `s${++this.#count}`;
  }
}

function requireVersion(found: string | undefined, expected: string | null): void {
  if ((found ?? null) !== expected) throw new Refused('conflict');
}
