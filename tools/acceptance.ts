/**
 * `npm run acceptance`: command lines of others' documents about etcd, as they stand there, on networks with their addresses. Each script is run
 * for itself, one after the other, and what came of it is written to `docs/acceptance.md`. Arguments choose by a part of the name.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { bringRequirements } from './test-requirements.ts';

const root = new URL('..', import.meta.url).pathname;
const DIRECTORY = 'tests/interop';
const PAGE = `${root}docs/acceptance.md`;
const BEGIN = '<!-- results: begin -->';
const END = '<!-- results: end -->';
const TIMEOUT_MS = 1_200_000;

interface Script {
  /** Below {@link DIRECTORY}. */
  readonly path: string;
  readonly about: string;
}

/** In the order of the documents. */
export const SCRIPTS: readonly Script[] = [
  {
    path: 'acceptance/starting.test.ts',
    about: 'servers: defaults, five addresses, certificates, systemd’s unit of “the hard way”',
  },
  {
    path: 'acceptance/sample-certificates.test.ts',
    about: 'certificates of the sample script; an API server’s `--etcd-servers`, a balancer',
  },
  {
    path: 'acceptance/certificates.test.ts',
    about: '`etcdctl` with certificates: members, health, a snapshot',
  },
  {
    path: 'acceptance/members.test.ts',
    about: 'members listed; one that failed replaced; three become five',
  },
  { path: 'acceptance/snapshots.test.ts', about: 'keys byte by byte; snapshots saved, looked at, restored' },
  { path: 'acceptance/copied-database.test.ts', about: '`member/snap/db` as a snapshot; a copied directory' },
  {
    path: 'acceptance/openshift.test.ts',
    about: 'OpenShift 3.11 and 4: configuration and data, from a pod, and back',
  },
  { path: 'acceptance/kubeadm.test.ts', about: 'highly available etcd with kubeadm, three hosts' },
  {
    path: 'acceptance/restore-cluster.test.ts',
    about: 'a whole cluster restored from one snapshot, at other addresses',
  },
  { path: 'acceptance/upgrade.test.ts', about: 'etcd 3.6 taken to this one, member by member' },
  { path: 'acceptance/defragment.test.ts', about: 'defragmentation by rule, and by the CronJob' },
  { path: 'operator/operator.test.ts', about: 'an operator: made, resized, upgraded, unmade' },
];

interface Result {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
}

function runScript({ path }: Script): Result {
  const startedMs = Date.now();
  const { stdout, status } = spawnSync(
    process.execPath,
    ['--test', '--test-reporter=tap', `--test-timeout=${TIMEOUT_MS}`, `${root}${DIRECTORY}/${path}`],
    {
      cwd: root,
      encoding: 'utf8',
      env: { ETCD_VERIFY: 'all', ...process.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const count = (name: string): number =>
    Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(stdout)?.[1] ?? 0);
  const failed = Math.max(count('fail') + count('cancelled'), status === 0 ? 0 : 1);
  if (failed > 0) process.stdout.write(stdout);
  return {
    passed: count('pass'),
    failed,
    skipped: count('skipped'),
    seconds: (Date.now() - startedMs) / 1000,
  };
}

function rowOf({ path, about }: Script, { passed, failed, skipped, seconds }: Result): string {
  const outcome = [
    `${passed} passed`,
    ...(failed > 0 ? [`**${failed} failed**`] : []),
    ...(skipped > 0 ? [`${skipped} did not run`] : []),
  ];
  return `| [${path}](../${DIRECTORY}/${path}) | ${about} | ${outcome.join(', ')} | ${seconds.toFixed(0)} s |`;
}

/** The rows that a page has, by script. */
function knownRows(page: string): Map<string, string> {
  return new Map([...page.matchAll(/^\| \[([^\]]+)\].*$/gm)].map((match) => [match[1]!, match[0]]));
}

function main(words: readonly string[]): number {
  const chosen = SCRIPTS.filter(
    ({ path }) => words.length === 0 || words.some((word) => path.includes(word)),
  );
  if (chosen.length === 0) {
    process.stderr.write(`no script matches ${words.join(' ')}\n`);
    return 1;
  }
  for (const { name, reason } of bringRequirements()) process.stderr.write(`MISSING: ${name}: ${reason}\n`);
  const page = readFileSync(PAGE, 'utf8');
  const rows = knownRows(page);
  let failures = 0;
  for (const script of chosen) {
    const result = runScript(script);
    failures += result.failed;
    rows.set(script.path, rowOf(script, result));
    process.stdout.write(`${rows.get(script.path)}\n`);
  }
  const table = SCRIPTS.flatMap(({ path }) => rows.get(path) ?? []);
  const head = [
    '| script | what it goes through | last run | took |',
    '| ------ | -------------------- | -------- | ---- |',
  ];
  const [before] = page.split(BEGIN);
  const [, after] = page.split(END);
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${[...head, ...table].join('\n')}\n\n${END}${after}`);
  return failures === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(main(process.argv.slice(2)));
