import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { AlarmMember, AlarmType } from '@etcd/api/etcdserverpb';
import { utf8ToBytes } from '@etcd/base';
import type { HttpAnswer } from '@etcd/host/net';
import { parseVersion } from '@etcd/storage/membership';
import { parseFeatureGates } from '../config/feature-gates.ts';
import { ETCD_VERSION } from '../config/index.ts';
import { Metrics } from '../metrics/index.ts';
import { FakeMember as ServedMember } from '../rpc/testing/served-member.ts';
import { ClientHttp } from './client-http.ts';
import type { HealthFacts } from './health-facts.ts';

type Changes = { -readonly [Name in keyof HealthFacts]?: HealthFacts[Name] };

/** A member that is well, but for what a test says. */
class FakeMember {
  readonly #state = new ServedMember();
  readonly metrics = new Metrics({ detail: 'basic', featureGates: parseFeatureGates('').gates! });
  readonly warnings: string[] = [];
  raised: AlarmMember[] = [];
  readError: InternalError | null = null;
  scrapes = 0;
  readonly facts: HealthFacts & Changes;
  readonly #http: ClientHttp;

  constructor(changes: Changes = {}) {
    this.facts = {
      metrics: this.metrics,
      clock: this.#state.log.clock,
      store: this.#state.log.store,
      isStopped: false,
      raftStatus: () => '{"term":7}',
      isFenced: false,
      isLearner: false,
      leader: 1n,
      alarms: {
        list: (type) => this.raised.filter(({ alarm }) => type === AlarmType.NONE || alarm === type),
      },
      membership: { version: parseVersion('3.6.0') },
      backend: { get: () => null, forEach: () => {} },
      logger: { error: (...line) => this.#keep(...line), warn: (...line) => this.#keep(...line) },
      read: (reader) => {
        if (this.readError === null) reader.onReadable();
        else reader.onUnreadable(this.readError);
      },
      readLocally: (reader) => reader.onReadable(),
      ...changes,
    };
    this.#http = new ClientHttp(this.facts, 'client', () => void this.scrapes++);
  }

  #keep(message: string, fields: object = {}): void {
    const { reason: _, output: __, ...short } = fields as Record<string, unknown>;
    this.warnings.push(`${message} ${JSON.stringify(short)}`);
  }

  get(target: string, method = 'GET'): HttpAnswer {
    let answered: HttpAnswer | null = null;
    this.#http.answer({ method, target, acceptsGzip: false, ...CALLER }, ({ status, headers, body }) => {
      assert.equal(typeof body, 'string');
      assert.equal(answered, null, 'answered twice');
      answered = { status, headers, body: String(body) };
    });
    assert.ok(answered, `${target} has no answer yet`);
    return answered;
  }

  health(target: string): string {
    const { status, body } = this.get(target);
    return `${status} ${body.trim()}`;
  }
}

/** Who asks. */
const CALLER = { remoteAddress: '10.0.0.1:1234', hasOrigin: false };

type ClientAnswer = Parameters<Parameters<ClientHttp['answer']>[1]>[0];

function scrape(http: ClientHttp, acceptsGzip: boolean): Promise<ClientAnswer> {
  return new Promise((resolve) =>
    http.answer({ method: 'GET', target: '/metrics', acceptsGzip, ...CALLER }, resolve),
  );
}

const HEALTHY = '200 {"health":"true","reason":""}';
const unhealthy = (reason: string): string => `503 ${JSON.stringify({ health: 'false', reason })}`;

test('a member that is well says so', () => {
  const member = new FakeMember();
  assert.equal(member.health('/health'), HEALTHY);
  assert.equal(member.health('/health?serializable=true'), HEALTHY);
  assert.equal(member.health('/livez'), '200 ok');
  assert.equal(member.health('/readyz'), '200 ok');
  const { handles } = member.metrics;
  assert.deepEqual([handles.healthSuccess.value, handles.healthFailures.value], [2, 0]);
  assert.equal(handles.rangeTotal.value, 5, 'each of them reads, and the last one twice');
});

test('without a leader a member is not healthy, but for those who read what it has', () => {
  const member = new FakeMember({ leader: 0n });
  assert.equal(member.health('/health'), unhealthy('RAFT NO LEADER'));
  assert.equal(member.health('/health?serializable=true'), HEALTHY);
  assert.equal(member.metrics.handles.healthFailures.value, 1);
  assert.deepEqual(member.warnings, ['/health error {"status-code":503}']);
});

test('a member that can not read says why', () => {
  const member = new FakeMember();
  member.readError = INTERNAL_ERRORS.errors.ErrTimeout;
  const { message } = INTERNAL_ERRORS.errors.ErrTimeout;
  assert.equal(member.health('/health'), unhealthy(`RANGE ERROR:${message}`));
  assert.equal(member.health('/livez'), '200 ok', 'the process is alive');
  assert.match(member.health('/readyz'), /^503 .*\[-\]linearizable_read failed: /s);
});

test('alarms make a member unhealthy, unless they are left out', () => {
  const member = new FakeMember();
  member.raised = [new AlarmMember({ memberId: 1n, alarm: AlarmType.NOSPACE })];
  assert.equal(member.health('/health'), unhealthy('ALARM NOSPACE'));
  assert.equal(member.health('/health?exclude=NOSPACE'), HEALTHY);
  assert.equal(member.health('/health?exclude=CORRUPT'), unhealthy('ALARM NOSPACE'));
  assert.equal(member.health('/readyz'), '200 ok', 'it can still be read');
  member.raised = [new AlarmMember({ memberId: 1n, alarm: AlarmType.CORRUPT })];
  assert.match(member.health('/readyz'), /\[-\]data_corruption failed: alarm activated: CORRUPT/);
});

test('a member with wrong data is neither healthy nor ready, though it lives', () => {
  const member = new FakeMember({ isFenced: true });
  assert.match(member.health('/health'), /^503 .*the data of this member differ/);
  assert.equal(member.health('/health?exclude=CORRUPT'), HEALTHY);
  assert.match(member.health('/readyz'), /\[-\]data_corruption failed: the data of this member differ/);
  assert.equal(member.health('/livez'), '200 ok');
});

test('a learner is not ready, and a member that has stopped does not live', () => {
  const learner = new FakeMember({ isLearner: true });
  assert.match(learner.health('/readyz'), /\[-\]non_learner failed: not supported for learner/);
  assert.equal(learner.health('/livez'), '200 ok');
  const stopped = new FakeMember({ isStopped: true });
  assert.match(stopped.health('/livez'), /^503 .*etcdserver: server stopped/s);
});

test('checks can be asked for one by one, left out, and told in full', () => {
  const member = new FakeMember({ isLearner: true });
  assert.equal(member.health('/readyz/serializable_read'), '200 ok');
  assert.match(member.health('/readyz/non_learner'), /^503/);
  assert.equal(member.health('/readyz?exclude=non_learner'), '200 ok');
  assert.equal(
    member.health('/readyz?exclude=non_learner&verbose'),
    '200 [+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\nok',
  );
  assert.equal(member.get('/readyz/nothing').status, 404);
  assert.equal(member.get('/livez/non_learner').status, 404);
  assert.equal(member.get('/livez/serializable_read/more').status, 404);
});

test('what went wrong is in the log, and so are checks that there are not', () => {
  const member = new FakeMember({ isLearner: true });
  member.get('/readyz');
  member.get('/livez', 'POST');
  member.get('/readyz?exclude=non_learner&exclude=nothing&exclude=');
  assert.deepEqual(member.warnings, [
    'Health check error {"path":"/readyz","status-code":503}',
    'Health request error {"path":"/livez","status-code":405}',
    'some health checks cannot be excluded {"missing-health-checks":"\\"nothing\\""}',
  ]);
});

test('a listener for metrics has health and metrics only', () => {
  const { facts } = new FakeMember();
  const http = new ClientHttp(facts, 'metrics', () => {});
  const statuses = ['/health', '/livez', '/readyz', '/version', '/debug/vars'].map((target) => {
    let status = 0;
    http.answer({ method: 'GET', target, acceptsGzip: false, ...CALLER }, (answer) => {
      status = answer.status;
    });
    return status;
  });
  assert.deepEqual(statuses, [200, 200, 200, 404, 404]);
});

test('each check is counted by its outcome', () => {
  const member = new FakeMember({ isLearner: true });
  member.get('/readyz');
  member.get('/readyz/serializable_read');
  const { healthcheck, healthchecksTotal } = member.metrics.handles;
  assert.equal(healthcheck.labels('readyz', 'non_learner').value, 0);
  assert.equal(healthcheck.labels('readyz', 'serializable_read').value, 1);
  assert.equal(healthchecksTotal.labels('readyz', 'serializable_read', 'success').value, 2);
  assert.equal(healthchecksTotal.labels('readyz', 'non_learner', 'error').value, 1);
});

test('health is asked for with GET, of paths that there are', () => {
  const member = new FakeMember();
  for (const path of ['/health', '/livez', '/readyz', '/version', '/debug/vars']) {
    const { status, headers } = member.get(path, 'POST');
    assert.equal(status, 405, path);
    assert.deepEqual(headers[0], ['allow', 'GET'], path);
  }
  for (const path of ['/', '/nothing', '/healthz', '/Health', '/health/', '/health%2F', '/%2e/health']) {
    assert.equal(member.get(path).status, 404, path);
  }
  for (const path of ['/%68ealth', 'http://any/health', '/health?']) {
    assert.equal(member.get(path).status, 200, path);
  }
  assert.equal(member.get('/health%').status, 400);
});

test('whoever asks for a path with empty parts or dots is sent to the one that he means', () => {
  const member = new FakeMember();
  const { status, headers, body } = member.get('//livez/../health?exclude=NOSPACE&a=<b>');
  assert.equal(status, 307);
  assert.deepEqual(headers, [
    ['content-type', 'text/html; charset=utf-8'],
    ['location', '/health?exclude=NOSPACE&a=<b>'],
  ]);
  assert.equal(body, '<a href="/health?exclude=NOSPACE&amp;a=&lt;b&gt;">Temporary Redirect</a>.\n\n');
  const posted = member.get('//health', 'POST');
  assert.deepEqual([posted.headers, posted.body], [[['location', '/health']], '']);
});

test('the version is that of the program, of its cluster and of its database', () => {
  const decided = new FakeMember({
    backend: { get: () => utf8ToBytes('3.6.0'), forEach: () => {} },
  });
  assert.deepEqual(JSON.parse(decided.get('/version').body), {
    etcdserver: ETCD_VERSION,
    etcdcluster: '3.6.0',
    storage: '3.6.0',
  });
  const undecided = new FakeMember({ membership: { version: null } });
  assert.deepEqual(JSON.parse(undecided.get('/version').body), {
    etcdserver: ETCD_VERSION,
    etcdcluster: 'not_decided',
    storage: 'unknown',
  });
});

test('a scrape is told beforehand, and gets what was counted', async () => {
  const member = new FakeMember();
  const http = new ClientHttp(member.facts, 'client', () => void member.scrapes++);
  const { status, body } = await scrape(http, false);
  assert.deepEqual([status, member.scrapes], [200, 1]);
  assert.match(String(body), /^etcd_server_health_success 0$/m);
  const zipped = await scrape(http, true);
  assert.ok(zipped.headers.some(([name, value]) => name === 'content-encoding' && value === 'gzip'));
  assert.match(gunzipSync(zipped.body).toString(), /^etcd_server_health_success 0$/m);
});

test('a scrape that fails is an error of the server, and nothing else', async () => {
  const failing = {
    handles: new FakeMember().metrics.handles,
    render: () => Promise.reject(new Error('no registry')),
  };
  const http = new ClientHttp(new FakeMember({ metrics: failing }).facts, 'client', () => {});
  const { status, body } = await scrape(http, true);
  assert.deepEqual([status, body], [500, 'failed to render metrics\n']);
});

test('what Go programs tell of themselves is told as far as it is there', () => {
  const vars = JSON.parse(new FakeMember().get('/debug/vars').body);
  assert.deepEqual(vars['raft.status'], { term: 7 });
  assert.equal(vars.cmdline[0], 'etcd');
  assert.ok(vars.memstats.Sys > 0 && vars.file_descriptor_limit > 0);
});
