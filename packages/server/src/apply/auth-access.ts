/** {@link Access} by the users and roles that are applied. */
import type { InternalError, LeaseId } from '@etcd/api';
import type { DeleteRangeRequest, PutRequest, TxnRequest } from '@etcd/api/etcdserverpb';
import {
  type AuthStore,
  authorizeAdmin,
  authorizeDeleteRange,
  authorizeLeaseKeys,
  authorizePut,
  authorizeRange,
  authorizeTxn,
  authorizeUser,
  type Identity,
} from '@etcd/storage/auth';
import type { Lessor } from '@etcd/storage/lease';
import type { Access } from './access.ts';

export class AuthAccess implements Access {
  readonly #store: AuthStore;
  readonly #leases: Pick<Lessor, 'everyKey' | 'leases'>;

  constructor(store: AuthStore, leases: Pick<Lessor, 'everyKey' | 'leases'>) {
    this.#store = store;
    this.#leases = leases;
  }

  get isEnabled(): boolean {
    return this.#store.isEnabled;
  }

  user(identity: Identity): InternalError | null {
    return authorizeUser(this.#store, identity);
  }

  admin(identity: Identity): InternalError | null {
    return authorizeAdmin(this.#store, identity);
  }

  hasRole(identity: Identity, role: string): boolean {
    return identity.name !== '' && this.#store.hasRole(identity.name, role);
  }

  range(identity: Identity, key: Uint8Array, rangeEnd: Uint8Array): InternalError | null {
    return authorizeRange(this.#store, identity, key, rangeEnd);
  }

  put(identity: Identity, request: PutRequest): InternalError | null {
    return authorizePut(this.#store, identity, request, this.#leases);
  }

  deleteRange(identity: Identity, request: DeleteRangeRequest): InternalError | null {
    return authorizeDeleteRange(this.#store, identity, request);
  }

  txn(identity: Identity, request: TxnRequest): InternalError | null {
    return authorizeTxn(this.#store, identity, request, this.#leases);
  }

  leaseKeys(identity: Identity, lease: LeaseId, access: 'read' | 'write'): InternalError | null {
    return authorizeLeaseKeys(this.#store, identity, lease, this.#leases, access);
  }

  allLeaseKeys(identity: Identity): InternalError | null {
    if (authorizeAdmin(this.#store, identity) === null) return null;
    for (const lease of this.#leases.leases()) {
      const refusal = this.leaseKeys(identity, lease, 'read');
      if (refusal !== null) return refusal;
    }
    return null;
  }
}
