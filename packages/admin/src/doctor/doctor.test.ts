import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  AlarmMember,
  AlarmType,
  DowngradeInfo,
  Member,
  ResponseHeader,
  StatusResponse,
} from '@etcd/api/etcdserverpb';
import { runProgram } from '@etcd/host/cli';
import { ETCDADM } from '../root.ts';
import { NotingIo } from '../testing/noting-io.ts';
import { checkCluster } from './check-cluster.ts';
import { checkBackups, checkCertificates } from './check-host.ts';
import { checkMembers, flagsOf } from './check-members.ts';
import { type ClusterFacts, type HttpFacts, type MemberFacts, NO_HTTP } from './facts.ts';
import { EXIT, exitCodeOf, type Finding, inOrder } from './finding.ts';
import { clockAhead, commandLineOf, parseMetrics, probeHttp, quantileOf } from './http-probe.ts';

const root = mkdtempSync(join(tmpdir(), 'doctor-'));
after(() => rmSync(root, { recursive: true }));

const NOW_MS = Date.parse('2030-01-01T00:00:00Z');
const DAY_MS = 86_400_000;
const MB = 1024 * 1024;

interface Given {
  readonly member?: Partial<Member>;
  readonly status?: Partial<StatusResponse> | null;
  readonly hash?: number | null;
  readonly http?: Partial<HttpFacts>;
}

function factsOf(given: readonly Given[], more: Partial<ClusterFacts> = {}): ClusterFacts {
  const members = given.map(({ member, status, hash, http }, i): MemberFacts => {
    const id = BigInt(i + 1);
    return {
      member: new Member({ id, name: `m${id}`, clientUrls: [`http://m${id}:2379`], ...member }),
      status:
        status === null
          ? null
          : new StatusResponse({
              header: new ResponseHeader({ memberId: id, revision: 10 }),
              version: '3.7.3',
              leader: 1n,
              dbSize: 10 * MB,
              dbSizeInUse: 9 * MB,
              dbSizeQuota: 2048 * MB,
              ...status,
            }),
      hash: hash === null || status === null ? null : { hash: hash ?? 7, revision: 10, compactRevision: 1 },
      http: { ...NO_HTTP, ...http },
    };
  });
  return { hasQuorum: true, clusterId: 1n, members, alarms: [], ...more };
}

function told(findings: readonly Finding[]): string[] {
  return inOrder(findings).map(
    ({ severity, check, member, message }) => `${severity} ${check} ${member ?? '-'} ${message}`,
  );
}

function expectFindings(facts: ClusterFacts, ...patterns: RegExp[]): void {
  const found = [...checkCluster(facts), ...checkMembers(facts, NOW_MS)];
  const lines = told(found);
  assert.equal(lines.length, patterns.length, lines.join('\n'));
  for (const [i, pattern] of patterns.entries()) assert.match(lines[i]!, pattern);
  // What is wrong comes with what mends it.
  for (const { severity, fix } of found) assert.ok(severity === 'note' || (fix !== null && fix !== ''));
}

test('a healthy cluster has no findings', () => {
  expectFindings(factsOf([{}, {}, {}]));
  expectFindings(factsOf([{}]));
  assert.equal(exitCodeOf([]), EXIT.fine);
});

test('members that are missing are told with what is left of the quorum', () => {
  expectFindings(
    factsOf([{}, {}, { status: null }]),
    /^error quorum - the loss of one more member ends the service: 2 of 3 .* 2 are needed/,
    /^error members m3 does not answer at http:\/\/m3:2379/,
  );
  expectFindings(
    factsOf([{ status: { leader: 0n } }, { status: null }, { status: null }], { hasQuorum: false }),
    /^error quorum - the cluster has no quorum: 0 of 3/,
    /^error members m2/,
    /^error members m3/,
    /^error leader - members do not name the same leader \(m1: none\)/,
  );
  expectFindings(factsOf([{}, {}]), /^warning quorum - the loss of one more member ends the service/);
  expectFindings(
    factsOf([{}, {}, {}, {}]),
    /^note quorum - 4 voting members survive no more losses than 3 do/,
  );
  expectFindings(
    factsOf([
      {},
      {},
      {},
      { member: { name: '', isLearner: true, peerUrls: ['http://m4:2380'] }, status: null },
    ]),
    /^warning members 4 \(http:\/\/m4:2380, not started\) was added and has never started/,
  );
  expectFindings(
    factsOf([{}, {}, {}, { member: { isLearner: true } }]),
    /^warning members m4 is a learner, without a vote/,
  );
  expectFindings(factsOf([{}, { status: { leader: 2n } }, {}]), /^error leader - .*\(m1: 1, m2: 2, m3: 1\)/);
});

test('releases, downgrades, alarms and members that lag are told', () => {
  expectFindings(
    factsOf([{}, { status: { version: '3.5.21' } }, {}]),
    /^warning versions - members are of different releases \(3\.5: m2; 3\.7: m1, m3\), more than one apart/,
  );
  const downgradeInfo = new DowngradeInfo({ enabled: true, targetVersion: '3.6.0' });
  expectFindings(
    factsOf([{ status: { downgradeInfo } }, {}, {}]),
    /^warning versions - a downgrade to 3\.6\.0 is under way/,
  );
  const alarms = [
    new AlarmMember({ memberId: 2n, alarm: AlarmType.NOSPACE }),
    new AlarmMember({ memberId: 3n, alarm: AlarmType.CORRUPT }),
  ];
  expectFindings(
    factsOf([{}, {}, {}], { alarms }),
    /^error alarms m2 alarm NOSPACE/,
    /^error alarms m3 alarm CORRUPT/,
  );
  expectFindings(
    factsOf([
      { status: { raftIndex: 20_000, raftAppliedIndex: 20_000 } },
      { status: { raftAppliedIndex: 20_000 } },
      { status: { raftAppliedIndex: 9_000 } },
    ]),
    /^warning lag m3 is 11000 entries behind/,
  );
});

test('whose data differ is told by the majority, and only by hashes that can be compared', () => {
  expectFindings(
    factsOf([{}, { hash: 8 }, {}]),
    /^error hashes m2 has other data than the majority at revision 10/,
  );
  expectFindings(
    factsOf([{}, { hash: 8 }, { hash: null }]),
    /^error hashes - m1, m2 have different data at revision 10, and no majority/,
  );
  const apart = factsOf([{}, { hash: 8 }, {}]);
  const compacted = { hash: 8, revision: 10, compactRevision: 5 };
  expectFindings({
    ...apart,
    members: apart.members.map((one, i) => (i === 1 ? { ...one, hash: compacted } : one)),
  });
});

test('space, disk, certificate, clock and flags of members are looked at', () => {
  const metrics = parseMetrics(`# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 10
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.064"} 950
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.128"} 999
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 1000
etcd_server_quota_backend_bytes 1.048576e+07
etcd_server_go_version{server_go_version="go1.25"} 1
nonsense`);
  assert.equal(metrics.get('etcd_server_go_version{go1.25}'), 1);
  assert.equal(quantileOf(metrics, 'etcd_disk_wal_fsync_duration_seconds', 0.99), 0.128);
  assert.equal(quantileOf(metrics, 'etcd_disk_backend_commit_duration_seconds', 0.99), null);
  expectFindings(
    factsOf([{ http: { metrics } }]),
    /^warning disk m1 1 of 100 syncs of the log takes longer than 64 ms/,
  );
  expectFindings(
    factsOf([
      {
        status: { dbSizeQuota: 0 },
        http: { metrics: new Map([['etcd_server_quota_backend_bytes', 12 * MB]]) },
      },
    ]),
    /^warning quota m1 the database of 10 MB has 83 % of its quota of 13 MB/,
  );
  expectFindings(factsOf([{ status: { dbSizeQuota: 10 * MB } }]), /^error quota m1 .* 100 %/);
  expectFindings(
    factsOf([{ status: { dbSize: 400 * MB, dbSizeInUse: 100 * MB } }]),
    /^warning fragmentation m1 315 MB of the 419 MB of the database are free/,
  );
  expectFindings(factsOf([{ status: { dbSize: 90 * MB, dbSizeInUse: 1 * MB } }]));
  expectFindings(
    factsOf([{ http: { certificateEndMs: NOW_MS + 12.5 * DAY_MS } }]),
    /^warning certificates m1 the certificate that it shows is good for 12 days/,
  );
  expectFindings(
    factsOf([{ http: { certificateEndMs: NOW_MS - 1 } }]),
    /^error certificates m1 .* has expired/,
  );
  expectFindings(
    factsOf([{ http: { clockAheadMs: -2_500 } }]),
    /^warning clock m1 its clock is at least 2\.5 s behind/,
  );
  expectFindings(factsOf([{ http: { clockAheadMs: 900 } }]));
  const line = (...words: string[]): Given => ({ http: { commandLine: ['etcd', ...words] } });
  expectFindings(
    factsOf([
      line('--name=a', '--heartbeat-interval=100', '--data-dir', '/a'),
      line('--name=b', '-heartbeat-interval', '200', '--data-dir=/b'),
      line('--name=c', '--heartbeat-interval=100', '--strict-reconfig-check'),
    ]),
    /^warning flags - --heartbeat-interval differs between members \(100: m1, m3; 200: m2\)/,
    /^warning flags - --strict-reconfig-check differs between members \(not given: m1, m2; true: m3\)/,
  );
  expectFindings(
    factsOf([{}, {}, { status: { dbSizeQuota: 4096 * MB } }]),
    /^warning flags - --quota-backend-bytes differs between members/,
  );
  assert.deepEqual(
    [...flagsOf(['etcd', '--a=b=c', '-d', 'e', 'f', '--g', '--h'])],
    [
      ['a', 'b=c'],
      ['d', 'e'],
      ['g', 'true'],
      ['h', 'true'],
    ],
  );
});

test('a clock is only called wrong as far as a date of whole seconds can say', () => {
  for (const [dateMs, startMs, endMs, expected] of [
    [null, 0, 1, null],
    [Number.NaN, 0, 1, null],
    [5_000, 5_400, 5_500, 0],
    [5_000, 5_999, 6_200, 0],
    [5_000, 4_000, 5_000, 0],
    [7_000, 5_400, 5_500, 1_500],
    [3_000, 5_400, 5_500, -1_400],
  ] as const) {
    assert.equal(clockAhead({ dateMs, startMs, endMs }), expected);
  }
  assert.equal(commandLineOf('no json'), null);
  assert.equal(commandLineOf('{"cmdline": [1]}'), null);
  assert.deepEqual(commandLineOf('{"cmdline": ["etcd"]}'), ['etcd']);
});

test('what answers nonsense, too much or nothing is no reason to know less of the others', async () => {
  let body = 'etcd_server_quota_backend_bytes 5\n';
  let status = 200;
  const server = createServer((_, response) => response.writeHead(status).end(body)).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const good = await probeHttp(url, undefined, 10_000);
    assert.equal(good.metrics?.get('etcd_server_quota_backend_bytes'), 5);
    assert.equal(good.commandLine, null);
    assert.equal(good.certificateEndMs, null);
    status = 404;
    assert.deepEqual(await probeHttp(url, undefined, 10_000), NO_HTTP);
    status = 200;
    body = 'x'.repeat(17 * MB);
    assert.deepEqual(await probeHttp(url, undefined, 10_000), NO_HTTP);
  } finally {
    server.close();
    server.closeAllConnections();
  }
  assert.deepEqual(await probeHttp(url, undefined, 10_000), NO_HTTP);
});

async function doctor(...words: string[]): Promise<{ code: number; text: string; errors: string }> {
  const io = new NotingIo({});
  const code = await runProgram(ETCDADM, ['doctor', ...words], io);
  return { code, text: io.text, errors: io.errors };
}

test('a directory that is damaged, open to others or none is told, with an exit code', async () => {
  const dataDir = join(root, 'data');
  mkdirSync(join(dataDir, 'member/snap'), { recursive: true });
  chmodSync(dataDir, 0o755);
  const missing = await doctor('--only-data', `--data-dir=${dataDir}`);
  assert.equal(missing.code, EXIT.errors);
  assert.match(
    missing.text,
    /^ERROR {3}data: .* has no member's data\n {8}-> give the --data-dir of the member\n$/,
  );
  writeFileSync(join(dataDir, 'member/snap/db'), 'no database');
  const damaged = await doctor('--only-data', `--data-dir=${dataDir}`, '-w', 'json');
  assert.equal(damaged.code, EXIT.errors);
  const { findings } = JSON.parse(damaged.text) as { findings: Finding[] };
  const messages = findings.map(({ severity, message }) => `${severity} ${message}`).join('\n');
  assert.match(messages, /^error .* is damaged: /);
  assert.match(messages, /^warning .* is open to others \(mode 755\)$/m);
  assert.match(messages, /syncs on the disk of .* 1 in 100 took /);
  assert.deepEqual(readdirSync(dataDir), ['member']);
});

test('the age of the newest backup of the cluster counts', async () => {
  const store = join(root, 'store');
  const facts = factsOf([{}], { clusterId: 0xabn });
  const check = async (): Promise<string[]> => told(await checkBackups(store, DAY_MS, facts, NOW_MS));
  assert.match((await check())[0]!, /^error backups - .*store/);
  mkdirSync(store);
  assert.match((await check())[0]!, /^error backups - .* has no backup of this cluster/);
  const add = (name: string, clusterId: string, createdAt: string, storedBytes = 0): void => {
    const texts = { name, clusterId, createdAt, memberId: 'cd', memberVersion: '3.7.3', source: 'a:1' };
    const hashes = { sha256: '', storedSha256: '', compression: 'none', encryption: 'none' };
    const numbers = { format: 1, revision: 1, hash: 1, hashCompactRevision: 0, sizeBytes: 1, storedBytes };
    writeFileSync(join(store, `${name}.json`), JSON.stringify({ ...texts, ...hashes, ...numbers }));
    writeFileSync(join(store, name), '');
  };
  add('etcd-other.db', 'cd', '2029-12-31T23:00:00Z');
  // One whose end is missing.
  add('etcd-half.db', 'ab', '2029-12-31T23:00:00Z', 1);
  assert.match((await check())[0]!, /^error backups - .* has no backup of this cluster/);
  add('etcd-old.db', 'ab', '2029-12-29T00:00:00Z');
  assert.match((await check())[0]!, /^warning backups - the newest backup in .* is 72 hours old/);
  add('etcd-new.db', 'ab', '2029-12-31T12:00:00Z');
  assert.deepEqual(await check(), []);
  writeFileSync(join(store, 'etcd-broken.db'), '');
  writeFileSync(join(store, 'etcd-broken.db.json'), 'nonsense');
  assert.match((await check())[0]!, /^error backups - .*etcd-broken\.db\.json: /);
  const nowhere = await checkBackups('s3://', DAY_MS, facts, NOW_MS);
  assert.match(told(nowhere)[0]!, /^error backups - s3:/);
});

test('certificates of this host that end soon, have ended or can not be read are told', async () => {
  const certs = join(root, 'certs');
  const io = new NotingIo({});
  const made = ['certs', 'make', '--names=a', '--hosts=a.example', `--dir=${certs}`, '--validity=240h'];
  assert.equal(await runProgram(ETCDADM, [...made, '--key-type=ECDSA-P256'], io), 0, io.errors);
  renameSync(join(certs, 'ca.pem'), join(certs, 'ca.crt'));
  const check = (afterMs: number): string[] => told(checkCertificates(certs, Date.now() + afterMs));
  assert.equal(check(0).length, 1);
  assert.match(check(0)[0]!, /^warning certificates - .*\/ca\.crt is good for 9 days/);
  assert.match(check(11 * DAY_MS)[0]!, /^error certificates - .*\/ca\.crt has expired/);
  writeFileSync(join(certs, 'server.crt'), 'nonsense');
  assert.match(check(0)[0]!, /^error certificates - .*server\.crt/);
  assert.deepEqual(checkCertificates(join(root, 'none'), Date.now()), []);
});

test('a doctor that can not look says so with another code than one that has found something', async () => {
  for (const words of [['-w', 'yaml'], ['--only-data'], ['extra']]) {
    const { code, errors } = await doctor(...words);
    assert.equal(code, 1);
    assert.match(errors, /^Error: /);
  }
  const { code, text } = await doctor(
    '--endpoints=127.0.0.1:1',
    '--command-timeout=300ms',
    '--dial-timeout=300ms',
    `--certs-dir=${root}`,
  );
  assert.equal(code, EXIT.errors);
  assert.match(text, /^ERROR {3}members: no member answers at 127\.0\.0\.1:1\n/);
});
