/**
 * `/health`, `/livez` and `/readyz`: whether this member serves, for load balancers, kubelets and people. The first answers in
 * JSON and counts alarms; the other two run named checks, each of which can be asked for alone or left out.
 */
import { AlarmType, RangeRequest } from '@etcd/api/etcdserverpb';
import { type Answering, httpError, httpText, methodNotAllowed } from '@etcd/host/net';
import { executeRange } from '@etcd/storage/mvcc';
import type { Reader } from '../request/index.ts';
import type { HealthFacts } from './health-facts.ts';

/** Calls back with what is wrong; null when nothing is. */
type Check = (member: HealthFacts, done: (problem: string | null) => void) => void;

const LIVEZ = 'livez';
const READYZ = 'readyz';
const FENCED = 'the data of this member differ from those of the majority';

const serializableRead: Check = (member, done) => {
  if (member.isStopped) return done('etcdserver: server stopped');
  member.readLocally(newReader(member, done));
};

const linearizableRead: Check = (member, done) => member.read(newReader(member, done));

/** The empty key is never there: to look for it costs little, and takes the way of every other read. */
const PROBE = new RangeRequest({ keysOnly: true, limit: 1 });

/** Reads what there is to be read, and counts it as etcd does. */
function newReader(member: HealthFacts, done: (problem: string | null) => void): Reader {
  const { rangeDurationSeconds, rangeTotal, requestDurationSeconds } = member.metrics.handles;
  const startMs = member.clock.now();
  const finish = (problem: string | null): void => {
    const seconds = (member.clock.now() - startMs) / 1000;
    requestDurationSeconds.labels('Range', String(problem === null)).observe(seconds);
    done(problem);
  };
  return {
    onReadable: () => {
      const readMs = member.clock.now();
      rangeTotal.inc();
      const { error } = executeRange(member.store, PROBE);
      const seconds = (member.clock.now() - readMs) / 1000;
      rangeDurationSeconds.labels(String(error === null)).observe(seconds);
      finish(error === null ? null : error.message);
    },
    onUnreadable: (error) => finish(error.message),
  };
}

const dataCorruption: Check = (member, done) => {
  if (member.isFenced) return done(FENCED);
  const [alarm] = member.alarms.list(AlarmType.CORRUPT);
  done(alarm === undefined ? null : 'alarm activated: CORRUPT');
};

const nonLearner: Check = (member, done) => done(member.isLearner ? 'not supported for learner' : null);

const CHECKS: ReadonlyMap<string, ReadonlyMap<string, Check>> = new Map([
  [LIVEZ, new Map([['serializable_read', serializableRead]])],
  [
    READYZ,
    new Map([
      ['data_corruption', dataCorruption],
      ['serializable_read', serializableRead],
      ['linearizable_read', linearizableRead],
      ['non_learner', nonLearner],
    ]),
  ],
]);

/** Answers `/livez`, `/readyz` and the paths of their checks; false for any other path. */
export function answerChecks(
  member: HealthFacts,
  method: string,
  path: string,
  query: URLSearchParams,
  done: Answering,
): boolean {
  const [, group = '', name, ...rest] = path.split('/');
  const checks = CHECKS.get(group);
  if (checks === undefined || rest.length > 0) return false;
  const isKnown = name === undefined || checks.has(name);
  if (!isKnown) return false;
  if (method !== 'GET') {
    member.logger.warn('Health request error', { path, 'status-code': 405 });
    done(methodNotAllowed('GET'));
    return true;
  }
  const names = name === undefined ? chosenChecks(member, checks, query) : [name];
  runChecks(member, group, names, (isHealthy, report) => {
    if (isHealthy) return done(httpText(query.has('verbose') ? `${report}ok\n` : 'ok\n'));
    member.logger.error('Health check error', { path, reason: report, 'status-code': 503 });
    done(httpError(503, report));
  });
  return true;
}

/** All but those that are left out. A probe may be older or newer than the member, so unknown names are no error. */
function chosenChecks(
  member: HealthFacts,
  checks: ReadonlyMap<string, Check>,
  query: URLSearchParams,
): string[] {
  const excluded = new Set(query.getAll('exclude').filter((name) => name !== ''));
  const unknown = [...excluded].filter((name) => !checks.has(name)).map((name) => JSON.stringify(name));
  if (unknown.length > 0) {
    const missing = { 'missing-health-checks': unknown.join() };
    member.logger.warn('some health checks cannot be excluded', missing);
  }
  return [...checks.keys()].filter((name) => !excluded.has(name));
}

function runChecks(
  member: HealthFacts,
  group: string,
  names: readonly string[],
  done: (isHealthy: boolean, report: string) => void,
): void {
  const { healthcheck, healthchecksTotal } = member.metrics.handles;
  let isHealthy = true;
  let report = '';
  const next = (index: number): void => {
    const name = names[index];
    if (name === undefined) return done(isHealthy, report);
    CHECKS.get(group)!.get(name)!(member, (problem) => {
      isHealthy &&= problem === null;
      report += problem === null ? `[+]${name} ok\n` : `[-]${name} failed: ${problem}\n`;
      healthcheck.labels(group, name).set(problem === null ? 1 : 0);
      healthchecksTotal.labels(group, name, problem === null ? 'success' : 'error').inc();
      next(index + 1);
    });
  };
  next(0);
}

export function answerHealth(
  member: HealthFacts,
  method: string,
  query: URLSearchParams,
  done: Answering,
): void {
  if (method !== 'GET') {
    member.logger.warn('/health error', { 'status-code': 405 });
    return done(methodNotAllowed('GET'));
  }
  const { healthSuccess, healthFailures } = member.metrics.handles;
  const finish = (reason: string): void => {
    const body = JSON.stringify({ health: String(reason === ''), reason });
    if (reason === '') {
      healthSuccess.inc();
      return done({ status: 200, headers: [['content-type', 'text/plain; charset=utf-8']], body });
    }
    healthFailures.inc();
    member.logger.warn('/health error', { output: body, 'status-code': 503 });
    done(httpError(503, body));
  };
  const isSerializable = query.get('serializable') === 'true';
  const excluded = new Set(query.getAll('exclude'));
  const alarm = member.alarms.list(AlarmType.NONE).find((raised) => !excluded.has(alarmName(raised.alarm)));
  if (alarm !== undefined) return finish(`ALARM ${alarmName(alarm.alarm)}`);
  if (member.isFenced && !excluded.has(alarmName(AlarmType.CORRUPT))) return finish(FENCED);
  if (!isSerializable && member.leader === 0n) return finish('RAFT NO LEADER');
  const read = isSerializable ? serializableRead : linearizableRead;
  read(member, (problem) => finish(problem === null ? '' : `RANGE ERROR:${problem}`));
}

function alarmName(alarm: number): string {
  return alarm === AlarmType.NOSPACE ? 'NOSPACE' : alarm === AlarmType.CORRUPT ? 'CORRUPT' : 'UNKNOWN';
}
