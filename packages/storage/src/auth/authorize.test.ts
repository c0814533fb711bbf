import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { Permission, PermissionType } from '@etcd/api/authpb';
import {
  AuthRoleGrantPermissionRequest,
  AuthUserAddRequest,
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { type Random, SeededRandom } from '@etcd/base';
import { SimClock, SimDisk } from '@etcd/testing';
import { checkDatabases } from '../backend/testing/check-databases.ts';
import { openBackend } from '../mvcc/testing/sim-member.ts';
import { AuthStore, type Identity, NO_IDENTITY } from './auth-store.ts';
import {
  authorizeAdmin,
  authorizeDeleteRange,
  authorizeLeaseKeys,
  authorizePut,
  authorizeRange,
  authorizeTxn,
  authorizeUser,
  type LeaseKeys,
} from './authorize.ts';

checkDatabases();

const { ErrAuthOldRevision, ErrPermissionDenied, ErrUserEmpty, ErrUserNotFound } = INTERNAL_ERRORS.auth;
const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const NOTHING = bytes('');
const OPEN = '\0';

function keysOf(letters: readonly string[], length: number): string[] {
  if (length === 0) return [''];
  const shorter = keysOf(letters, length - 1);
  return [...new Set([...shorter, ...shorter.flatMap((key) => letters.map((letter) => key + letter))])];
}

const BOUNDS = keysOf(['\0', 'a', 'b', '\xff'], 2).filter((key) => key !== '');
/** At and between any two bounds, and the bounds that are made of them, there is a key. */
const KEYS = keysOf(['\0', '\x01', 'a', 'b', 'c', '\xff'], 3).filter((key) => key !== '');

interface Grant {
  readonly type: number;
  readonly key: string;
  readonly end: string;
}

function newStore(): AuthStore {
  const store = new AuthStore({ backend: openBackend(new SimClock(), new SimDisk()) });
  const options = { noPassword: true, unknown: null };
  assert.equal(store.addUser(new AuthUserAddRequest({ name: 'root', options })), null);
  assert.equal(store.grantRole('root', 'root'), null);
  assert.equal(store.addUser(new AuthUserAddRequest({ name: 'u', options })), null);
  assert.equal(store.enable(), null);
  return store;
}

/** The grants are spread over a few roles of the user `u`. */
function withGrants(random: Random, grants: readonly Grant[]): AuthStore {
  const store = newStore();
  const roles = ['r0', 'r1', 'r2'];
  for (const role of roles) {
    store.addRole(role);
    store.grantRole('u', role);
  }
  for (const { type, key, end } of grants) {
    const perm = new Permission({ permType: type, key: bytes(key), rangeEnd: bytes(end) });
    const name = roles[random.below(roles.length)]!;
    assert.equal(store.grantPermission(new AuthRoleGrantPermissionRequest({ name, perm })), null);
  }
  return store;
}

function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.below(items.length)]!;
}

/** A grant as a role may have it: a key, and an end behind it, none, or no bound. */
function randomGrant(random: Random): Grant {
  const type = pick(random, Object.values(PermissionType));
  for (;;) {
    const key = pick(random, BOUNDS);
    const end = randomEnd(random, key);
    if (end === '' || end === OPEN || end > key) return { type, key, end };
  }
}

/** No two of the same range: the later would take the place of the earlier, were they of the same role. */
function randomGrants(random: Random, count: number): Grant[] {
  const grants = new Map<string, Grant>();
  for (let i = 0; i < count; i++) {
    const grant = randomGrant(random);
    grants.set(JSON.stringify([grant.key, grant.end]), grant);
  }
  return [...grants.values()];
}

/** Every form that a range's end has: empty, `\0`, the key's prefix, the key's successor, anything behind the key. */
function randomEnd(random: Random, key: string): string {
  switch (random.below(5)) {
    case 0:
      return '';
    case 1:
      return OPEN;
    case 2:
      return `${key}\0`;
    case 3: {
      const last = key.charCodeAt(key.length - 1);
      return last === 255 ? OPEN : key.slice(0, -1) + String.fromCharCode(last + 1);
    }
    default: {
      const end = pick(random, BOUNDS);
      return end > key ? end : '';
    }
  }
}

function contains(key: string, end: string, other: string): boolean {
  if (end === '') return other === key;
  return other >= key && (end === OPEN || other < end);
}

/** The reference: key by key. */
class Reference {
  readonly #grants: readonly Grant[];

  constructor(grants: readonly Grant[]) {
    this.#grants = grants;
  }

  may(access: 'read' | 'write', key: string, end: string): boolean {
    const wanted = access === 'read' ? PermissionType.READ : PermissionType.WRITE;
    const grants = this.#grants.filter(({ type }) => type === wanted || type === PermissionType.READWRITE);
    const isGranted = (other: string): boolean =>
      grants.some((grant) => contains(grant.key, grant.end, other));
    return KEYS.filter((other) => contains(key, end, other)).every(isGranted);
  }
}

const NO_KEYS: LeaseKeys = { everyKey: () => true };

function leaseKeys(leases: ReadonlyMap<bigint, readonly string[]>): LeaseKeys {
  return {
    everyKey: (lease, predicate) =>
      (leases.get(lease) ?? []).every((key) => {
        // As the lessor has them: somewhere in a larger buffer.
        const buffer = bytes(`xx${key}yy`);
        return predicate(buffer, 2, 2 + key.length);
      }),
  };
}

const verdict = (isPermitted: boolean): InternalError | null => (isPermitted ? null : ErrPermissionDenied);

test('S01 a range is permitted exactly when every key in it is granted', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new SeededRandom(seed);
    const grants = randomGrants(random, random.below(8));
    const store = withGrants(random, grants);
    const reference = new Reference(grants);
    const identity = { name: 'u', revision: store.revision };
    for (let i = 0; i < 40; i++) {
      const key = pick(random, BOUNDS);
      const end = randomEnd(random, key);
      const where = `seed ${seed}: ${JSON.stringify({ grants, key, end })}`;
      assert.equal(
        authorizeRange(store, identity, bytes(key), bytes(end)),
        verdict(reference.may('read', key, end)),
        where,
      );
      const request = new DeleteRangeRequest({ key: bytes(key), rangeEnd: bytes(end), prevKv: i % 2 === 0 });
      const mayDelete =
        reference.may('write', key, end) && (!request.prevKv || reference.may('read', key, end));
      assert.equal(authorizeDeleteRange(store, identity, request), verdict(mayDelete), where);
    }
  }
});

test('S01 an inverted range is permitted to nobody who may not have its first key', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new SeededRandom(seed);
    const grants = randomGrants(random, random.below(8));
    const store = withGrants(random, grants);
    const reference = new Reference(grants);
    const identity = { name: 'u', revision: store.revision };
    for (let i = 0; i < 20; i++) {
      const [key, end] = [pick(random, BOUNDS), pick(random, BOUNDS)];
      if (end > key || end === OPEN) continue;
      const refusal = authorizeRange(store, identity, bytes(key), bytes(end));
      if (!reference.may('read', key, '')) assert.equal(refusal, ErrPermissionDenied, `seed ${seed}`);
    }
  }
});

test('S01 the empty key is nobody’s but an administrator’s', () => {
  const store = withGrants(new SeededRandom(1), [{ type: PermissionType.READWRITE, key: '\0', end: OPEN }]);
  const user = { name: 'u', revision: store.revision };
  assert.equal(authorizeRange(store, user, bytes('\0'), bytes(OPEN)), null);
  assert.equal(authorizeRange(store, user, NOTHING, NOTHING), ErrPermissionDenied);
  assert.equal(authorizeRange(store, user, NOTHING, bytes(OPEN)), ErrPermissionDenied);
  assert.equal(authorizeRange(store, { name: 'root', revision: store.revision }, NOTHING, bytes(OPEN)), null);
});

interface Need {
  readonly access: 'read' | 'write';
  readonly key: string;
  readonly end: string;
}

/** A random transaction, and all that it needs as a flat list. */
function randomTxn(
  random: Random,
  leases: ReadonlyMap<bigint, readonly string[]>,
  depth: number,
  needs: Need[],
): TxnRequest {
  const branch = (): RequestOp[] =>
    Array.from({ length: random.below(3) }, () => randomOp(random, leases, depth, needs));
  const compare = Array.from({ length: random.below(2) }, () => {
    const key = pick(random, BOUNDS);
    const end = random.below(3) === 0 ? randomEnd(random, key) : '';
    needs.push({ access: 'read', key, end });
    return new Compare({ key: bytes(key), rangeEnd: bytes(end) });
  });
  return new TxnRequest({ compare, success: branch(), failure: branch() });
}

function randomOp(
  random: Random,
  leases: ReadonlyMap<bigint, readonly string[]>,
  depth: number,
  needs: Need[],
): RequestOp {
  const key = pick(random, BOUNDS);
  const end = randomEnd(random, key);
  const isOdd = random.below(2) === 1;
  switch (random.below(depth > 0 ? 5 : 3)) {
    case 0:
      needs.push({ access: 'read', key, end });
      return new RequestOp({ requestRange: new RangeRequest({ key: bytes(key), rangeEnd: bytes(end) }) });
    case 1: {
      const lease = BigInt(random.below(4));
      needs.push({ access: 'write', key, end: '' });
      if (isOdd) needs.push({ access: 'read', key, end: '' });
      for (const attached of leases.get(lease) ?? []) needs.push({ access: 'write', key: attached, end: '' });
      return new RequestOp({ requestPut: new PutRequest({ key: bytes(key), lease, prevKv: isOdd }) });
    }
    case 2:
      needs.push({ access: 'write', key, end });
      if (isOdd) needs.push({ access: 'read', key, end });
      return new RequestOp({
        requestDeleteRange: new DeleteRangeRequest({ key: bytes(key), rangeEnd: bytes(end), prevKv: isOdd }),
      });
    default:
      return new RequestOp({ requestTxn: randomTxn(random, leases, depth - 1, needs) });
  }
}

test('S02 S03 a transaction is permitted exactly when all that is in it is, at any depth', () => {
  let permitted = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const random = new SeededRandom(seed);
    const grants = randomGrants(random, 1 + random.below(4));
    const store = withGrants(random, grants);
    const reference = new Reference(grants);
    const leases = new Map([1n, 2n].map((id) => [id, [pick(random, BOUNDS), pick(random, BOUNDS)]]));
    for (let i = 0; i < 20; i++) {
      const needs: Need[] = [];
      const request = randomTxn(random, leases, 4, needs);
      const isPermitted = needs.every(({ access, key, end }) => reference.may(access, key, end));
      if (isPermitted) permitted++;
      assert.equal(
        authorizeTxn(store, { name: 'u', revision: store.revision }, request, leaseKeys(leases)),
        verdict(isPermitted),
        `seed ${seed}: ${JSON.stringify({ grants, needs })}`,
      );
    }
  }
  assert.ok(permitted > 400, `only ${permitted} transactions were permitted: the test tells little`);
});

test('S03 a put that asks for the previous pair needs to read, and one with a lease to write all its keys', () => {
  const store = withGrants(new SeededRandom(1), [
    { type: PermissionType.WRITE, key: 'a', end: '' },
    { type: PermissionType.READWRITE, key: 'b', end: '' },
  ]);
  const identity = { name: 'u', revision: store.revision };
  const leases = leaseKeys(
    new Map([
      [1n, ['a', 'b']],
      [2n, ['a', 'c']],
    ]),
  );
  const put = (key: string, lease: bigint, prevKv: boolean): InternalError | null =>
    authorizePut(store, identity, new PutRequest({ key: bytes(key), lease, prevKv }), leases);
  assert.equal(put('a', 0n, false), null);
  assert.equal(put('a', 0n, true), ErrPermissionDenied);
  assert.equal(put('b', 0n, true), null);
  assert.equal(put('b', 1n, true), null);
  assert.equal(put('b', 2n, false), ErrPermissionDenied);
  assert.equal(put('b', 3n, false), null, 'there is no such lease');
  assert.equal(authorizeLeaseKeys(store, identity, 1n, leases), null);
  assert.equal(authorizeLeaseKeys(store, identity, 2n, leases), ErrPermissionDenied);
});

test('S05 the keys of a lease are told to those who may read all of them', () => {
  const store = withGrants(new SeededRandom(1), [{ type: PermissionType.READ, key: 'a', end: 'c' }]);
  const leases = leaseKeys(
    new Map([
      [1n, ['a', 'b']],
      [2n, ['a', 'c']],
    ]),
  );
  const ask = (identity: Identity, lease: bigint): InternalError | null =>
    authorizeLeaseKeys(store, identity, lease, leases, 'read');
  const user = { name: 'u', revision: store.revision };
  assert.equal(ask(user, 1n), null);
  assert.equal(ask(user, 2n), ErrPermissionDenied);
  assert.equal(ask({ name: 'root', revision: store.revision }, 2n), null);
  assert.equal(ask(NO_IDENTITY, 2n), ErrUserEmpty);
});

test('S08 an identity of an older auth revision is refused, whatever it may do', () => {
  const store = withGrants(new SeededRandom(1), [{ type: PermissionType.READWRITE, key: 'a', end: '' }]);
  const put = new PutRequest({ key: bytes('a') });
  for (const name of ['u', 'root']) {
    const identity = { name, revision: store.revision };
    assert.equal(authorizePut(store, identity, put, NO_KEYS), null);
    store.addRole(`later-${name}`);
    assert.equal(authorizePut(store, identity, put, NO_KEYS), ErrAuthOldRevision);
    assert.equal(authorizeTxn(store, identity, new TxnRequest(), NO_KEYS), ErrAuthOldRevision);
    assert.equal(authorizeRange(store, identity, bytes('a'), NOTHING), ErrAuthOldRevision);
  }
  const root = { name: 'root', revision: 1 };
  assert.equal(authorizeLeaseKeys(store, root, 1n, NO_KEYS), null, 'an expired lease is revoked in any case');
});

test('S08 a revoked permission ends at once, a deleted user has none', () => {
  const store = withGrants(new SeededRandom(1), [{ type: PermissionType.READ, key: 'a', end: '' }]);
  const now = (): Identity => ({ name: 'u', revision: store.revision });
  assert.equal(authorizeRange(store, now(), bytes('a'), NOTHING), null);
  for (const role of ['r0', 'r1', 'r2']) store.revokeRole('u', role);
  assert.equal(authorizeRange(store, now(), bytes('a'), NOTHING), ErrPermissionDenied);
  store.deleteUser('u');
  assert.equal(authorizeRange(store, now(), bytes('a'), NOTHING), ErrPermissionDenied);
  assert.equal(authorizeAdmin(store, now()), ErrUserNotFound);
});

test('without authentication everything is permitted, with it nothing to nobody', () => {
  const store = newStore();
  assert.equal(authorizeUser(store, NO_IDENTITY), ErrUserEmpty);
  assert.equal(authorizeAdmin(store, NO_IDENTITY), ErrUserEmpty);
  assert.equal(authorizeRange(store, NO_IDENTITY, bytes('a'), NOTHING), ErrUserEmpty);
  assert.equal(authorizeAdmin(store, { name: 'u', revision: store.revision }), ErrPermissionDenied);
  assert.equal(authorizeAdmin(store, { name: 'root', revision: 1 }), null);
  store.disable();
  assert.equal(authorizeUser(store, NO_IDENTITY), null);
  assert.equal(authorizeAdmin(store, NO_IDENTITY), null);
  assert.equal(authorizeRange(store, NO_IDENTITY, bytes('a'), NOTHING), null);
});

test('a user’s permissions are merged once for each auth revision', () => {
  const store = withGrants(new SeededRandom(1), [{ type: PermissionType.READ, key: 'a', end: 'b' }]);
  const before = store.permissionsOf('u');
  assert.equal(store.permissionsOf('u'), before);
  store.addRole('another');
  assert.notEqual(store.permissionsOf('u'), before);
});
