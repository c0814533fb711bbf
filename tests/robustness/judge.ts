/** Judges a history by the log that the cluster left, with the judges of the simulator. */
import { decodeWatchResponse } from '@etcd/api/etcdserverpb';
import { AnswerChecks, Model, WatchChecks } from '@etcd/sim/judges';
import type { CommittedLog } from './committed-log.ts';
import type { History, Judges, LeaseRecord, WatchRecord } from './history.ts';

export interface Violation {
  readonly property: string;
  readonly details: string;
}

export interface Judgement {
  readonly violations: readonly Violation[];
  readonly events: number;
  readonly revision: number;
}

/** More would say nothing new. */
const MAX_VIOLATIONS = 20;

export function judge(history: History, log: CommittedLog): Judgement {
  const violations: Violation[] = [];
  const violate = (property: string, details: string): void => {
    if (violations.length < MAX_VIOLATIONS) violations.push({ property, details });
  };
  for (const conflict of log.conflicts) violate('state machine safety', conflict);
  if (!log.isWhole) violate('the harness', 'entries are missing in all logs: nothing can be judged');
  for (const error of history.oddErrors) violate('errors', error);
  const revokedAt = new Map<bigint, number>();
  const model: Model = new Model({
    onRepeatedValue: (value, first, second) =>
      violate('exactly once', `${value} was written at revision ${first} and again at ${second}`),
    onValue: (value, revision) => {
      if (history.forbidden.has(value)) {
        violate('refusal', `${value} was refused, but written at revision ${revision}`);
      }
    },
    onLeaseGranted: () => {},
    onLeaseRevoked: (id) => revokedAt.set(id, model.revision + 1),
  });
  for (const entry of log.entries) model.apply(entry);
  if (!log.isWhole) return { violations, events: 0, revision: model.revision };
  const judges: Judges = { model, checks: new AnswerChecks(model) };
  for (const { text, by, bounds, judge: judged } of history.answered) {
    const verdict = judged(judges, bounds);
    if (verdict !== null) violate('linearizability', `${text}, by ${by}: ${verdict}`);
  }
  let events = 0;
  for (const watch of history.watches)
    events += judgeWatch(model, watch, history.isComplete ? history.seenRevision : 0, violate);
  for (const lease of history.leases.values()) {
    judgeLease(lease, history.firstSeenMs(revokedAt.get(lease.id) ?? Number.POSITIVE_INFINITY), violate);
  }
  return { violations, events, revision: model.revision };
}

type Violate = (property: string, details: string) => void;

/** @param lastRevision up to which it must have been told everything. Returns how many events it was told. */
function judgeWatch(model: Model, watch: WatchRecord, lastRevision: number, violate: Violate): number {
  const checks = new WatchChecks(model, watch.range);
  let by = '';
  for (const step of watch.steps) {
    if (step.type === 'open') {
      by = step.by;
      if (step.from !== checks.nextRevision) violate('the harness', `${watch.name} began at ${step.from}`);
      checks.open();
      continue;
    }
    const response = decodeWatchResponse(step.bytes);
    const verdict = response.canceled ? checks.canceled(response.compactRevision) : checks.told(response);
    if (verdict === null) continue;
    violate('watch', `${watch.name}, by ${by}: ${verdict}`);
    return checks.eventCount;
  }
  const missed = checks.missing(lastRevision).length;
  if (missed > 0) violate('watch', `${watch.name} was never told of ${missed} events`);
  return checks.eventCount;
}

function judgeLease(lease: LeaseRecord, revokedMs: number, violate: Violate): void {
  if (lease.isRevocable) return;
  const dueMs = lease.renewedMs + lease.ttlMs;
  const endMs = Math.min(revokedMs, lease.goneMs ?? Number.POSITIVE_INFINITY);
  if (endMs >= dueMs) return;
  violate(
    'lease',
    `lease ${lease.id.toString(16)} was ended ${Math.round(dueMs - endMs)} ms before its time`,
  );
}
