/** Random requests to the store, for tests: small key spaces, so that they meet each other, and every option. */
import {
  Compare,
  CompareTargetUnion,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { EMPTY_BYTES, latin1FromBytes, type SeededRandom } from '@etcd/base';

const KEYS = [
  'a',
  'a\0',
  'aa',
  'ab',
  'b',
  'b/1',
  'b/2',
  'b/22',
  'b/3',
  'c',
  '\xff',
  '\xff\xff',
  'd'.repeat(300),
];
const ALL_FROM_HERE = Uint8Array.of(0);

/** What requests are made of. */
export interface RequestWorld {
  readonly random: SeededRandom;
  /** The store's revision, about which requested revisions lie. */
  readonly revision: number;
  /** Leases that exist; requests name others too. */
  readonly leases: readonly bigint[];
}

export function randomKey({ random }: RequestWorld): Uint8Array {
  const key = random.chance(0.8) ? random.pick(KEYS) : `k${random.below(30)}`;
  return Buffer.from(key, 'latin1');
}

export function randomRangeEnd(world: RequestWorld, key: Uint8Array): Uint8Array {
  const { random } = world;
  const what = random.below(10);
  if (what < 4) return EMPTY_BYTES;
  if (what < 6) return ALL_FROM_HERE;
  if (what < 8) return prefixEnd(key);
  return randomKey(world);
}

function prefixEnd(key: Uint8Array): Uint8Array {
  const end = Uint8Array.from(key);
  for (let i = end.length - 1; i >= 0; i--) {
    if (end[i]! < 0xff) {
      end[i]!++;
      return end.subarray(0, i + 1);
    }
  }
  return ALL_FROM_HERE;
}

function randomRevision({ random, revision }: RequestWorld): number {
  if (random.chance(0.6)) return 0;
  return random.chance(0.1) ? revision + 1 + random.below(3) : random.below(revision + 1) - 1;
}

export function randomRange(world: RequestWorld): RangeRequest {
  const { random } = world;
  const key = randomKey(world);
  const bound = (): number => (random.chance(0.1) ? random.below(world.revision + 1) : 0);
  return new RangeRequest({
    key,
    rangeEnd: randomRangeEnd(world, key),
    limit: random.chance(0.3) ? random.below(6) - 1 : 0,
    revision: randomRevision(world),
    sortOrder: random.chance(0.3) ? random.below(3) : 0,
    sortTarget: random.chance(0.3) ? random.below(5) : 0,
    keysOnly: random.chance(0.1),
    countOnly: random.chance(0.1),
    minModRevision: bound(),
    maxModRevision: bound(),
    minCreateRevision: bound(),
    maxCreateRevision: bound(),
  });
}

function randomLease({ random, leases }: RequestWorld): bigint {
  if (random.chance(0.02)) return 999_999n;
  return leases.length > 0 && random.chance(0.3) ? random.pick(leases) : 0n;
}

export function randomPut(world: RequestWorld): PutRequest {
  const { random } = world;
  const ignoreValue = random.chance(0.05);
  const ignoreLease = random.chance(0.05);
  const length = random.chance(0.05) ? random.below(5000) : random.below(20);
  return new PutRequest({
    key: randomKey(world),
    value: ignoreValue ? EMPTY_BYTES : Uint8Array.from({ length }, () => random.below(256)),
    lease: ignoreLease ? 0n : randomLease(world),
    prevKv: random.chance(0.3),
    ignoreValue,
    ignoreLease,
  });
}

export function randomDeleteRange(world: RequestWorld): DeleteRangeRequest {
  const key = randomKey(world);
  return new DeleteRangeRequest({
    key,
    rangeEnd: world.random.chance(0.7) ? EMPTY_BYTES : randomRangeEnd(world, key),
    prevKv: world.random.chance(0.3),
  });
}

function randomCompare(world: RequestWorld): Compare {
  const { random } = world;
  const key = randomKey(world);
  const near = random.below(world.revision + 2);
  const target = random.below(5);
  const unions = Object.values(CompareTargetUnion);
  // Mostly the value that belongs to the target.
  const targetUnion = random.chance(0.95) ? [4, 5, 6, 7, 8][target]! : random.pick(unions);
  return new Compare({
    result: random.chance(0.95) ? random.below(4) : 7,
    target: random.chance(0.98) ? target : 9,
    key,
    rangeEnd: random.chance(0.7) ? EMPTY_BYTES : randomRangeEnd(world, key),
    targetUnion,
    version: targetUnion === CompareTargetUnion.version ? random.below(4) : 0,
    createRevision: targetUnion === CompareTargetUnion.createRevision ? near : 0,
    modRevision: targetUnion === CompareTargetUnion.modRevision ? near : 0,
    value: targetUnion === CompareTargetUnion.value ? Uint8Array.of(random.below(256)) : EMPTY_BYTES,
    lease: targetUnion === CompareTargetUnion.lease ? randomLease(world) : 0n,
  });
}

/** A transaction that no validation refuses. Now and then it changes a key more than once, as etcd lets it: see {@link randomChurn}. */
export function randomTxn(world: RequestWorld, depth = 0, touched: Set<string> = new Set()): TxnRequest {
  const { random } = world;
  if (depth === 0 && random.chance(0.2)) return randomChurn(world);
  const compare = Array.from({ length: random.below(3) }, () => randomCompare(world));
  const branch = (): RequestOp[] => {
    const ops: RequestOp[] = [];
    // Branches exclude each other; what an enclosing branch has touched stays forbidden.
    const mine = new Set(touched);
    for (let i = random.below(4); i > 0; i--) ops.push(randomOp(world, depth, mine));
    return ops;
  };
  return new TxnRequest({ compare, success: branch(), failure: branch() });
}

/**
 * Changes the same keys again and again in one transaction, in the ways that etcd's check for duplicates lets through: what one
 * nested transaction puts a later one may delete, and a deletion without an end is not seen by the check at all.
 */
function randomChurn(world: RequestWorld): TxnRequest {
  const { random } = world;
  const keys = Array.from({ length: 2 + random.below(3) }, () => randomKey(world));
  const unused = new Map(keys.map((key) => [latin1FromBytes(key), key]));
  const nested = (ops: RequestOp[]): RequestOp =>
    new RequestOp({ requestTxn: new TxnRequest({ success: ops }) });
  const put = (): RequestOp[] => {
    const [next] = unused;
    if (next === undefined) return [];
    unused.delete(next[0]);
    const requestPut = randomPut(world);
    requestPut.key = next[1];
    // What was deleted has no value and no lease that could be kept: etcd ends over it.
    requestPut.ignoreValue = false;
    requestPut.ignoreLease = false;
    return [new RequestOp({ requestPut })];
  };
  const deletion = (rangeEnd: Uint8Array): RequestOp => {
    const key = random.pick(keys);
    const requestDeleteRange = new DeleteRangeRequest({ key, rangeEnd, prevKv: random.chance(0.5) });
    return new RequestOp({ requestDeleteRange });
  };
  const look = (): RequestOp => new RequestOp({ requestRange: randomRange(world) });
  const success = [nested(put()), nested([...put(), look()])];
  if (random.chance(0.5)) success.push(deletion(ALL_FROM_HERE));
  success.push(nested(put()), look());
  if (random.chance(0.3)) success.push(nested([deletion(ALL_FROM_HERE)]));
  success.push(nested([deletion(EMPTY_BYTES)]), nested([deletion(EMPTY_BYTES), look()]));
  return new TxnRequest({ success });
}

function randomOp(world: RequestWorld, depth: number, touched: Set<string>): RequestOp {
  const { random } = world;
  const what = random.below(100);
  if (what < 35) return new RequestOp({ requestRange: randomRange(world) });
  if (what < 40 && depth < 3) {
    const requestTxn = randomTxn(world, depth + 1, touched);
    for (const op of [...requestTxn.success, ...requestTxn.failure]) noteTouched(op, touched);
    return new RequestOp({ requestTxn });
  }
  if (what < 80) {
    const requestPut = randomPut(world);
    const key = latin1FromBytes(requestPut.key);
    if (touched.has(key)) return new RequestOp();
    touched.add(key);
    return new RequestOp({ requestPut });
  }
  const requestDeleteRange = randomDeleteRange(world);
  // Only single keys, and none of a put: etcd refuses the rest before it gets here.
  requestDeleteRange.rangeEnd = EMPTY_BYTES;
  const key = latin1FromBytes(requestDeleteRange.key);
  if (touched.has(key)) return new RequestOp();
  touched.add(key);
  return new RequestOp({ requestDeleteRange });
}

function noteTouched(op: RequestOp, touched: Set<string>): void {
  if (op.requestPut !== null) touched.add(latin1FromBytes(op.requestPut.key));
  if (op.requestDeleteRange !== null) touched.add(latin1FromBytes(op.requestDeleteRange.key));
  for (const inner of [...(op.requestTxn?.success ?? []), ...(op.requestTxn?.failure ?? [])]) {
    noteTouched(inner, touched);
  }
}
