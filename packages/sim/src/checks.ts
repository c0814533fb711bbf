/**
 * Judges answers. All acknowledged writes form one history, numbered by revision, which the {@link Model} has from the log. An
 * answer must be what that history says at the revision in its header, and the order of the revisions must agree with real
 * time: whatever is asked after an answer was given sees at least as much as that answer told of. Together that is
 * linearizability, of single keys, ranges and transactions alike.
 */
import type {
  Compare,
  DeleteRangeResponse,
  PutResponse,
  RangeRequest,
  RangeResponse,
  TxnRequest,
  TxnResponse,
} from '@etcd/api/etcdserverpb';
import type { KeyValue } from '@etcd/api/mvccpb';
import { inRange, type KeyVersion, type Model } from './model.ts';
import { rangeText, textOf } from './trace.ts';

/** What is wrong with an answer; null: nothing. */
export type Verdict = string | null;

/** What was known when a request was made. */
export interface Bounds {
  /** The highest revision that any answer had told of by then. */
  readonly seenRevision: number;
}

export class AnswerChecks {
  readonly #model: Model;

  constructor(model: Model) {
    this.#model = model;
  }

  put(value: string, key: string, response: PutResponse, { seenRevision }: Bounds): Verdict {
    const revision = response.header!.revision;
    const written = this.#model.revisionOf(value);
    if (written !== revision) return `put of ${value} said revision ${revision}, the log says ${written}`;
    if (revision <= seenRevision) return stale('a put', revision, seenRevision + 1);
    if (response.prevKv === null) return null;
    return this.#pair(response.prevKv, this.#model.get(key, revision - 1), revision - 1);
  }

  deleteRange(
    key: string,
    end: string,
    response: DeleteRangeResponse,
    bounds: Bounds,
    wantsPrevious: boolean,
  ): Verdict {
    const { deleted, prevKvs } = response;
    const revision = response.header!.revision;
    if (deleted === 0) {
      if (revision < bounds.seenRevision) return stale('a delete', revision, bounds.seenRevision);
      const there = this.#model.range(key, end, revision);
      if (revision > this.#model.revision) return future(revision, this.#model.revision);
      return there.length === 0
        ? null
        : `delete of ${rangeText(key, end)} found nothing at ${revision}; ${there.length} were there`;
    }
    if (revision <= bounds.seenRevision) return stale('a delete', revision, bounds.seenRevision + 1);
    const events = this.#model.eventsAt(revision);
    const fits = events.every((event) => event.value === null && inRange(event.key, key, end));
    if (!fits || events.length !== deleted) {
      return `delete of ${rangeText(key, end)} said ${deleted} at ${revision}; the log has ${list(events)}`;
    }
    if (this.#model.range(key, end, revision).length > 0) return `delete at ${revision} left keys behind`;
    if (!wantsPrevious) return null;
    return this.#pairs(prevKvs, this.#model.range(key, end, revision - 1), revision - 1);
  }

  range(request: RangeRequest, response: RangeResponse, bounds: Bounds): Verdict {
    const now = response.header!.revision;
    if (now > this.#model.revision) return future(now, this.#model.revision);
    if (!request.serializable && now < bounds.seenRevision) {
      return stale('a linearizable range', now, bounds.seenRevision);
    }
    const revision = request.revision === 0 ? now : request.revision;
    const expected = this.#model.range(textOf(request.key), textOf(request.rangeEnd), revision);
    if (response.count !== expected.length) {
      return `range at ${revision} counted ${response.count}, the log has ${list(expected)}`;
    }
    const limited = request.limit > 0 ? expected.slice(0, request.limit) : expected;
    return this.#pairs(response.kvs, limited, revision);
  }

  /**
   * A transaction of the clients' form: on success it writes `value` and reads nothing, otherwise it reads one key.
   */
  txn(request: TxnRequest, value: string, response: TxnResponse, bounds: Bounds): Verdict {
    const revision = response.header!.revision;
    const model = this.#model;
    if (revision > model.revision) return future(revision, model.revision);
    if (response.succeeded) {
      if (model.revisionOf(value) !== revision) {
        return `txn wrote ${value} at ${revision}, the log says ${model.revisionOf(value)}`;
      }
      if (revision <= bounds.seenRevision) return stale('a txn', revision, bounds.seenRevision + 1);
      return model.compares(request.compare, revision - 1)
        ? null
        : `txn succeeded at ${revision} though ${describeCompare(request.compare)} did not hold`;
    }
    if (revision < bounds.seenRevision) return stale('a txn', revision, bounds.seenRevision);
    if (model.compares(request.compare, revision)) {
      return `txn failed at ${revision} though ${describeCompare(request.compare)} held`;
    }
    const read = response.responses[0]?.responseRange;
    const key = textOf(request.compare[0]!.key);
    if (read === undefined || read === null) return `txn that failed read nothing`;
    return this.#pairs(read.kvs, model.range(key, '', revision), revision);
  }

  #pairs(got: readonly KeyValue[], expected: readonly KeyVersion[], revision: number): Verdict {
    if (got.length !== expected.length) {
      return `${got.length} pairs at ${revision}, the log has ${list(expected)}`;
    }
    for (const [i, pair] of got.entries()) {
      const verdict = this.#pair(pair, expected[i]!, revision);
      if (verdict !== null) return verdict;
    }
    return null;
  }

  #pair(got: KeyValue, expected: KeyVersion | null, revision: number): Verdict {
    const key = textOf(got.key);
    if (expected === null) return `${key} at ${revision} should not be there`;
    return isSamePair(got, expected)
      ? null
      : `${key} at ${revision} is ${textOf(got.value)} of ${got.modRevision}, the log has ${list([expected])}`;
  }
}

export function isSamePair(got: KeyValue, expected: KeyVersion): boolean {
  return (
    textOf(got.key) === expected.key &&
    textOf(got.value) === expected.value &&
    got.createRevision === expected.create &&
    got.modRevision === expected.mod &&
    got.version === expected.version &&
    got.lease === expected.lease
  );
}

function stale(what: string, revision: number, atLeast: number): string {
  return `${what} answered as of revision ${revision}, but ${atLeast} was due: an answer given before had told of more`;
}

function future(revision: number, last: number): string {
  return `an answer told of revision ${revision}, the log has come to ${last}`;
}

function list(versions: readonly KeyVersion[]): string {
  return versions.map(({ key, value, mod }) => `${key}=${value}@${mod}`).join(', ') || 'nothing';
}

function describeCompare(compares: readonly Compare[]): string {
  return compares.map(({ key, target, result }) => `${textOf(key)} target ${target} result ${result}`).join();
}
