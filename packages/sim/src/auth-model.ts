/**
 * Users, roles and verdicts as the committed log says they have to be. Written for being seen through, not for speed: it knows
 * nothing of merged ranges, and walks from grant to grant. Members must have come to the same verdict on every entry.
 */
import { Permission, PermissionType } from '@etcd/api/authpb';
import type {
  DeleteRangeRequest,
  InternalRaftRequest,
  PutRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { textOf } from './trace.ts';

interface Grant {
  readonly type: number;
  readonly key: string;
  readonly end: string;
}

type Access = 'read' | 'write';

/** Keys of a lease, as the log says. */
export type KeysOfLease = (lease: bigint) => Iterable<string>;

export class AuthModel {
  isEnabled = false;
  revision = 1;
  /** Roles of each user. */
  readonly users = new Map<string, Set<string>>();
  readonly #roles = new Map<string, Grant[]>();
  readonly #keysOfLease: KeysOfLease;

  constructor(keysOfLease: KeysOfLease) {
    this.#keysOfLease = keysOfLease;
  }

  /** Whether the request was done, as far as it depends on who asked; changes of users and roles are done here. */
  permits(request: InternalRaftRequest): boolean {
    const change = this.#changeOf(request);
    if (change !== null) {
      if (this.#isAdmin(request)) change();
      return true;
    }
    const { put, deleteRange, txn, leaseRevoke } = request;
    if (!this.isEnabled) return true;
    if (leaseRevoke !== null) {
      return this.#isAdmin(request) || this.#mayWriteKeysOf(leaseRevoke.id, request);
    }
    if (put === null && deleteRange === null && txn === null) return true;
    if (!this.#isCurrent(request)) return false;
    const user = request.header!.username;
    if (put !== null) return this.#mayPut(user, put);
    if (deleteRange !== null) return this.#mayDelete(user, deleteRange);
    return this.#mayTxn(user, txn!);
  }

  /** Whether the user may do everything. */
  isRoot(user: string): boolean {
    return this.users.get(user)?.has('root') ?? false;
  }

  may(user: string, access: Access, key: string, end: string): boolean {
    const roles = this.users.get(user);
    if (roles === undefined) return false;
    if (roles.has('root')) return true;
    const wanted = access === 'read' ? PermissionType.READ : PermissionType.WRITE;
    const grants = [...roles]
      .flatMap((role) => this.#roles.get(role) ?? [])
      .filter(({ type }) => type === wanted || type === PermissionType.READWRITE);
    // From the first key on to where the grants that hold it end, and so on until the end of what is asked for.
    const last = end === '' ? `${key}\0` : end;
    for (let at = key; ; ) {
      const holding = grants.filter((grant) => grant.key <= at && (grant.end === '\0' || at < endOf(grant)));
      if (holding.length === 0) return false;
      if (holding.some((grant) => grant.end === '\0')) return true;
      at = holding.map(endOf).sort().at(-1)!;
      if (end !== '\0' && at >= last) return true;
    }
  }

  #isAdmin({ header }: InternalRaftRequest): boolean {
    return !this.isEnabled || this.isRoot(header?.username ?? '');
  }

  #isCurrent({ header }: InternalRaftRequest): boolean {
    return header !== null && header.authRevision >= this.revision;
  }

  #mayWriteKeysOf(lease: bigint, request: InternalRaftRequest): boolean {
    const keys = [...this.#keysOfLease(lease)];
    if (keys.length === 0) return true;
    if (!this.#isCurrent(request)) return false;
    return keys.every((key) => this.may(request.header!.username, 'write', key, ''));
  }

  #mayPut(user: string, { key, prevKv, lease }: PutRequest): boolean {
    const text = textOf(key);
    if (!this.may(user, 'write', text, '')) return false;
    if (prevKv && !this.may(user, 'read', text, '')) return false;
    return [...this.#keysOfLease(lease)].every((attached) => this.may(user, 'write', attached, ''));
  }

  #mayDelete(user: string, { key, rangeEnd, prevKv }: DeleteRangeRequest): boolean {
    const [text, end] = [textOf(key), textOf(rangeEnd)];
    return this.may(user, 'write', text, end) && (!prevKv || this.may(user, 'read', text, end));
  }

  #mayTxn(user: string, { compare, success, failure }: TxnRequest): boolean {
    return (
      compare.every(({ key, rangeEnd }) => this.may(user, 'read', textOf(key), textOf(rangeEnd))) &&
      [...success, ...failure].every((op) => this.#mayDo(user, op))
    );
  }

  #mayDo(user: string, { requestPut, requestRange, requestDeleteRange, requestTxn }: RequestOp): boolean {
    if (requestPut !== null) return this.#mayPut(user, requestPut);
    if (requestDeleteRange !== null) return this.#mayDelete(user, requestDeleteRange);
    if (requestTxn !== null) return this.#mayTxn(user, requestTxn);
    return (
      requestRange === null || this.may(user, 'read', textOf(requestRange.key), textOf(requestRange.rangeEnd))
    );
  }

  // --- changes

  #changeOf(request: InternalRaftRequest): (() => void) | null {
    if (request.authEnable !== null) {
      return () => {
        if (this.isRoot('root')) this.isEnabled = true;
      };
    }
    if (request.authDisable !== null) {
      return () => {
        if (this.isEnabled) this.revision++;
        this.isEnabled = false;
      };
    }
    return this.#changeOfUser(request) ?? this.#changeOfRole(request);
  }

  #changeOfUser(request: InternalRaftRequest): (() => void) | null {
    const { authUserAdd, authUserDelete, authUserChangePassword, authUserGrantRole, authUserRevokeRole } =
      request;
    if (authUserAdd !== null) {
      const { name } = authUserAdd;
      return () => this.#count(name !== '' && !this.users.has(name), () => this.users.set(name, new Set()));
    }
    if (authUserDelete !== null) {
      const { name } = authUserDelete;
      const isKept = this.isEnabled && name === 'root';
      return () => this.#count(!isKept && this.users.has(name), () => this.users.delete(name));
    }
    if (authUserChangePassword !== null) {
      return () => this.#count(this.users.has(authUserChangePassword.name), () => {});
    }
    if (authUserGrantRole !== null) {
      const { user, role } = authUserGrantRole;
      const roles = this.users.get(user);
      const isNew = (role === 'root' || this.#roles.has(role)) && roles?.has(role) === false;
      return () => this.#count(isNew, () => roles!.add(role));
    }
    if (authUserRevokeRole === null) return null;
    const { name, role } = authUserRevokeRole;
    const isKept = this.isEnabled && name === 'root' && role === 'root';
    const roles = this.users.get(name);
    return () => this.#count(!isKept && roles?.has(role) === true, () => roles!.delete(role));
  }

  #changeOfRole(request: InternalRaftRequest): (() => void) | null {
    const { authRoleAdd, authRoleDelete, authRoleGrantPermission, authRoleRevokePermission } = request;
    if (authRoleAdd !== null) {
      const { name } = authRoleAdd;
      return () => this.#count(name !== '' && !this.#roles.has(name), () => this.#roles.set(name, []));
    }
    if (authRoleDelete !== null) {
      const { role } = authRoleDelete;
      const isKept = this.isEnabled && role === 'root';
      return () =>
        this.#count(!isKept && this.#roles.has(role), () => {
          this.#roles.delete(role);
          for (const roles of this.users.values()) roles.delete(role);
        });
    }
    if (authRoleGrantPermission !== null) {
      const grants = this.#roles.get(authRoleGrantPermission.name);
      const grant = grantOf(authRoleGrantPermission.perm ?? new Permission());
      return () =>
        this.#count(grants !== undefined && isGrantable(grant), () => {
          // As etcd does: of the grants that begin with the key only the first may be replaced, and another one of the same range comes beside it.
          const place = grants!.findIndex(({ key }) => key >= grant.key);
          const first = grants![place];
          if (first?.key === grant.key && first.end === grant.end) grants![place] = grant;
          else {
            grants!.push(grant);
            grants!.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
          }
        });
    }
    if (authRoleRevokePermission === null) return null;
    const { role, key, rangeEnd } = authRoleRevokePermission;
    const grants = this.#roles.get(role) ?? [];
    const rest = grants.filter((grant) => grant.key !== textOf(key) || grant.end !== textOf(rangeEnd));
    return () => this.#count(rest.length < grants.length, () => grants.splice(0, grants.length, ...rest));
  }

  /** Every change of users and roles counts, what is refused does not. */
  #count(isDone: boolean, change: () => void): void {
    if (!isDone) return;
    change();
    this.revision++;
  }
}

function grantOf({ permType, key, rangeEnd }: Permission): Grant {
  return { type: permType, key: textOf(key), end: textOf(rangeEnd) };
}

function isGrantable({ key, end }: Grant): boolean {
  return key !== '' && (end === '' || end === '\0' || key < end);
}

function endOf({ key, end }: Grant): string {
  return end === '' ? `${key}\0` : end;
}
