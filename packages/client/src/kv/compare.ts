/** Conditions of a transaction: `compare.value('k', '=', 'v')`, `compare.version('k', '=', 0)` for a key that is not there. */
import { Compare, CompareResult, CompareTarget, CompareTargetUnion } from '@etcd/api/etcdserverpb';
import { type Bytes, keyRange, type RangeOptions, toBytes } from '../keys.ts';

export type CompareOperator = '=' | '!=' | '>' | '<';

const RESULTS: Readonly<Record<CompareOperator, number>> = {
  '=': CompareResult.EQUAL,
  '!=': CompareResult.NOT_EQUAL,
  '>': CompareResult.GREATER,
  '<': CompareResult.LESS,
};

type Target = Pick<Compare, 'target' | 'targetUnion'> & Partial<Compare>;

/** With a range, the condition must hold for each of its keys. */
function condition(key: Bytes, operator: CompareOperator, target: Target, range: RangeOptions): Compare {
  return new Compare({ ...keyRange(key, range), result: RESULTS[operator], ...target });
}

export const compare = {
  value(key: Bytes, operator: CompareOperator, value: Bytes, range: RangeOptions = {}): Compare {
    const target = CompareTarget.VALUE;
    const targetUnion = CompareTargetUnion.value;
    return condition(key, operator, { target, targetUnion, value: toBytes(value) }, range);
  },
  /** How often the key was put since it was created; 0 where it does not exist. */
  version(key: Bytes, operator: CompareOperator, version: number, range: RangeOptions = {}): Compare {
    const targetUnion = CompareTargetUnion.version;
    return condition(key, operator, { target: CompareTarget.VERSION, targetUnion, version }, range);
  },
  createRevision(
    key: Bytes,
    operator: CompareOperator,
    createRevision: number,
    range: RangeOptions = {},
  ): Compare {
    const targetUnion = CompareTargetUnion.createRevision;
    return condition(key, operator, { target: CompareTarget.CREATE, targetUnion, createRevision }, range);
  },
  modRevision(key: Bytes, operator: CompareOperator, modRevision: number, range: RangeOptions = {}): Compare {
    const targetUnion = CompareTargetUnion.modRevision;
    return condition(key, operator, { target: CompareTarget.MOD, targetUnion, modRevision }, range);
  },
  lease(key: Bytes, operator: CompareOperator, lease: bigint, range: RangeOptions = {}): Compare {
    const targetUnion = CompareTargetUnion.lease;
    return condition(key, operator, { target: CompareTarget.LEASE, targetUnion, lease }, range);
  },
  exists: (key: Bytes): Compare => compare.createRevision(key, '>', 0),
  notExists: (key: Bytes): Compare => compare.createRevision(key, '=', 0),
} as const;
