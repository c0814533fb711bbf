/**
 * The pages that a member has for those who watch over it (health, version, metrics), beside those of real etcd 3.5 and 3.7: the same
 * status, headers and body, on every kind of listener that has them, in every state that they tell of.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { after, before, test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { NEEDS_ALL_SIDES, SIDES } from '../../support/sides.ts';
import { freePort } from '../../support/temporary.ts';

/** A server with one listener of each kind that has pages. */
interface Subject {
  readonly name: string;
  readonly server: EtcdServer;
  readonly http: string;
  readonly metrics: string;
}

const HEALTH = [
  '/health',
  '/health?',
  '/health?serializable=true',
  '/health?serializable=false',
  '/health?serializable=TRUE',
  '/health?exclude=',
  '/health?exclude=NOSPACE',
  '/health?exclude=CORRUPT',
  '/health?exclude=NOSPACE&exclude=CORRUPT',
  '/health?exclude=NOSPACE,CORRUPT',
  '/health?exclude=nospace',
  '/health?serializable=true&exclude=NOSPACE&exclude=CORRUPT&other=1',
];

const CHECKS = ['/livez', '/readyz'].flatMap((path) => [
  path,
  `${path}?verbose`,
  `${path}?verbose=false`,
  `${path}?exclude=serializable_read`,
  `${path}?exclude=serializable_read&verbose`,
  `${path}?exclude=linearizable_read&exclude=data_corruption&verbose`,
  `${path}?exclude=non_learner&exclude=data_corruption`,
  `${path}?exclude=&verbose`,
  `${path}?exclude=nothing`,
  `${path}/serializable_read`,
  `${path}/serializable_read?verbose`,
  `${path}/serializable_read?exclude=serializable_read`,
  `${path}/linearizable_read?verbose`,
  `${path}/data_corruption?verbose`,
  `${path}/non_learner?verbose`,
  `${path}/nothing`,
]);

const OTHERS = ['/', '/nothing', '/healthz', '/Health', '/health/', '/livez/', '/version/', '/metrics/'];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'];

const servers: Subject[] = [];
const rpcs: EtcdRpc[] = [];

before(async () => {
  for (const [name, program] of SIDES) {
    const [http, metrics] = [await freePort(), await freePort()].map((port) => `http://127.0.0.1:${port}`);
    const flags = [...FAST_ELECTION, `--listen-client-http-urls=${http}`, `--listen-metrics-urls=${metrics}`];
    const server = await EtcdServer.start({ program, flags });
    servers.push({ name, server, http: http!, metrics: metrics! });
    rpcs.push(new EtcdRpc(server.address));
  }
});
after(async () => {
  for (const rpc of rpcs) rpc.close();
  await Promise.all(servers.map(({ server }) => server.kill()));
});

interface Page {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

async function fetchPage(base: string, path: string, method = 'GET'): Promise<Page> {
  const response = await fetch(base + path, { method, redirect: 'manual' });
  const headers: Record<string, string> = {};
  for (const name of ['content-type', 'allow', 'x-content-type-options', 'access-control-allow-origin']) {
    const value = response.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  return { status: response.status, headers, body: masked(path, await response.text()) };
}

/** Without versions, and with the lines of checks in one order: etcd's is another one each time. */
function masked(path: string, body: string): string {
  if (path.startsWith('/version')) return body.replace(/\d+\.\d+\.\d+/g, 'X');
  if (!/^\[[+-]\]/.test(body)) return body;
  const lines = body.split('\n');
  const count = lines.filter((line) => line.startsWith('[')).length;
  return [...lines.slice(0, count).sort(), ...lines.slice(count)].join('\n');
}

/** Etcd's answer: where its releases differ, that of the later one. */
async function assertSame(
  what: string,
  listener: (subject: Subject) => string,
  path: string,
  method = 'GET',
  subjects: readonly Subject[] = servers,
): Promise<void> {
  const [ours, earlier, later] = await Promise.all(
    subjects.map((subject) => fetchPage(listener(subject), path, method)),
  );
  assert.deepEqual(ours, later, `${method} ${path} ${what}, against 3.7`);
  if (!path.startsWith('/version')) assert.deepEqual(ours, earlier, `${method} ${path} ${what}, against 3.5`);
}

async function compareEverywhere(what: string): Promise<void> {
  for (const path of [...HEALTH, ...CHECKS]) {
    await assertSame(`${what}, on the HTTP listener`, ({ http }) => http, path);
    await assertSame(`${what}, on the metrics listener`, ({ metrics }) => metrics, path);
  }
}

test('a member that is well', NEEDS_ALL_SIDES, () => compareEverywhere('when all is well'));

test('alarms', NEEDS_ALL_SIDES, async () => {
  const ids = await Promise.all(
    rpcs.map(async (rpc) => (await rpc.call('Maintenance.Status', {})).header!.member_id),
  );
  const set = (action: string, alarm: string): Promise<unknown> =>
    Promise.all(rpcs.map((rpc, i) => rpc.call('Maintenance.Alarm', { memberID: ids[i]!, alarm, action })));
  for (const alarm of ['NOSPACE', 'CORRUPT']) {
    await set('ACTIVATE', alarm);
    await compareEverywhere(`with the alarm ${alarm}`);
    await set('DEACTIVATE', alarm);
  }
  await compareEverywhere('after the alarms');
});

test('every method, and paths that there are not', NEEDS_ALL_SIDES, async () => {
  for (const method of METHODS) {
    for (const path of ['/health', '/livez', '/readyz', '/readyz/non_learner', '/version', ...OTHERS]) {
      await assertSame('on the HTTP listener', ({ http }) => http, path, method);
      await assertSame('on the metrics listener', ({ metrics }) => metrics, path, method);
    }
    for (const { name, http, metrics } of servers) {
      for (const base of [http, metrics]) {
        const { status, headers } = await fetch(`${base}/metrics`, { method });
        const type = headers.get('content-type')?.split(';').slice(0, 2).join(';');
        assert.deepEqual([status, type], [200, 'text/plain; version=0.0.4'], `${method} of ${name}`);
      }
    }
    for (const path of ['/debug/pprof/', '/debug/pprof/heap', '/debug/requests', '/config/local/log']) {
      await assertSame('without profiles', ({ http }) => http, path, method);
    }
  }
});

test(
  'pages that need no HTTP listener of their own are on the port of gRPC, by HTTP/1 and HTTP/2',
  NEEDS_ALL_SIDES,
  async () => {
    const starting = SIDES.map(async ([name, program]): Promise<Subject> => {
      const server = await EtcdServer.start({ program, flags: FAST_ELECTION });
      return { name, server, http: server.clientUrl, metrics: '' };
    });
    const subjects = await Promise.all(starting);
    for (const path of ['/health', '/livez?verbose', '/readyz?verbose', '/version', '/nothing']) {
      await assertSame('beside gRPC', ({ http }) => http, path, 'GET', subjects);
    }
    const [ours] = subjects;
    for (const path of ['/health', '/livez?verbose', '/readyz', '/nothing']) {
      const { status, body } = await fetchPage(ours!.http, path);
      assert.deepEqual(await fetchHttp2(ours!.http, path), { status, body }, path);
    }
    await Promise.all(subjects.map(({ server }) => server.kill()));
  },
);

test('gRPC has its port for itself where HTTP has one of its own', NEEDS_ALL_SIDES, async () => {
  for (const { name, server } of servers) {
    await assert.rejects(fetch(`${server.clientUrl}/health`), `${name} answers`);
  }
});

test('a learner is healthy and alive, but not ready', NEEDS_ALL_SIDES, async () => {
  const subjects = await Promise.all(SIDES.map(([name, program]) => startLearner(name, program)));
  const learners = subjects.map(({ learner }) => learner);
  for (const path of [...HEALTH, ...CHECKS]) {
    await assertSame('of a learner', ({ metrics }) => metrics, path, 'GET', learners);
  }
  await Promise.all(subjects.flatMap(({ voter, learner }) => [voter.kill(), learner.server.kill()]));
});

async function startLearner(name: string, program: string): Promise<{ voter: EtcdServer; learner: Subject }> {
  const voter = await EtcdServer.start({ program, name: 'v', flags: FAST_ELECTION });
  const [peerPort, metricsPort] = [await freePort(), await freePort()];
  const rpc = new EtcdRpc(voter.address);
  await rpc.call('Cluster.MemberAdd', { peerURLs: [`http://127.0.0.1:${peerPort}`], isLearner: true });
  rpc.close();
  const metrics = `http://127.0.0.1:${metricsPort}`;
  const server = await EtcdServer.start({
    program,
    name: 'l',
    peerPort,
    initialCluster: `v=${voter.peerUrl},l=http://127.0.0.1:${peerPort}`,
    flags: [...FAST_ELECTION, '--initial-cluster-state=existing', `--listen-metrics-urls=${metrics}`],
  });
  return { voter, learner: { name, server, http: '', metrics } };
}

test('without a leader a member is not healthy', NEEDS_ALL_SIDES, async () => {
  const subjects = await Promise.all(SIDES.map(([name, program]) => launchAlone(name, program)));
  for (const { metrics, server } of subjects) {
    await server.waitForLog('became pre-candidate');
    assert.equal((await fetchPage(metrics, '/livez')).status, 200);
  }
  for (const path of [...HEALTH, ...CHECKS.filter((path) => path.startsWith('/livez'))]) {
    await assertSame('without a leader', ({ metrics }) => metrics, path, 'GET', subjects);
  }
  await Promise.all(subjects.map(({ server }) => server.kill()));
});

/** One of two members, the other of which never comes. */
async function launchAlone(name: string, program: string): Promise<Subject> {
  const metrics = `http://127.0.0.1:${await freePort()}`;
  const peerPort = await freePort();
  const server = await EtcdServer.launch({
    program,
    name: 'a',
    peerPort,
    initialCluster: `a=http://127.0.0.1:${peerPort},b=http://127.0.0.1:${await freePort()}`,
    flags: [...FAST_ELECTION, `--listen-metrics-urls=${metrics}`],
  });
  return { name, server, http: '', metrics };
}

function fetchHttp2(base: string, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const session = connect(base);
    session.on('error', reject);
    const stream = session.request({ ':path': path });
    let status = 0;
    let body = '';
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
    });
    stream.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    stream.on('end', () => {
      session.close();
      resolve({ status, body: masked(path, body) });
    });
  });
}
