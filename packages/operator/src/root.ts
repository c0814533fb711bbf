/** All commands of etcd-operator. */
import { NodeClock } from '@etcd/base/node';
import { type Command, ExitError, type Invocation } from '@etcd/host/cli';
import { createLogger, defaultLogSink } from '@etcd/host/logging';
import { stringify } from 'yaml';
import { judgeStart } from './gate/gate.ts';
import { BACKUP_DEFINITION, RESTORE_DEFINITION, SCHEDULE_DEFINITION } from './resources/backup-crd.ts';
import { CLUSTER_DEFINITION } from './resources/crd.ts';
import { operate } from './run/operate.ts';
import { runWork } from './work/run-work.ts';

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

const GATE: Command = {
  name: 'gate',
  usage: '',
  summary: 'Let a member start that has its data, or is new',
  flags: [
    { name: 'data-dir', type: 'string', usage: "the member's data directory" },
    { name: 'member', type: 'string', usage: "the member's name" },
  ],
  run: ({ flags, io }) => {
    const mayStartEmpty = process.env['MAY_START_EMPTY'] ?? '';
    const { opens, why } = judgeStart(flags.text('data-dir'), flags.text('member'), mayStartEmpty);
    io.error(why);
    if (!opens) throw new ExitError(1, '');
  },
};

const WORK: Command = {
  name: 'work',
  usage: '',
  summary: 'Do the backup or restore that the environment describes: what a worker pod runs',
  flags: [],
  run: async ({ io }) => {
    try {
      await runWork(process.env, (line) => io.error(line));
    } catch (error) {
      throw new ExitError(1, `Error: ${(error as Error).message}`);
    }
  },
};

const DEFINITIONS: Command = {
  name: 'definitions',
  usage: '',
  summary: 'Print the definitions of the resources, for kubectl apply',
  run: ({ io }) => io.out(definitionsText()),
};

/** What stands in `deploy/operator/definitions.yaml`. */
export function definitionsText(): string {
  const all = [CLUSTER_DEFINITION, BACKUP_DEFINITION, SCHEDULE_DEFINITION, RESTORE_DEFINITION];
  return all.map((one) => stringify(one, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n');
}

export const ROOT: Command = {
  name: 'etcd-operator',
  usage: '',
  summary: 'Makes and keeps clusters of etcd in Kubernetes',
  commands: [GATE, WORK, DEFINITIONS],
  flags: [
    {
      name: 'namespace',
      type: 'string',
      usage: 'the only namespace whose clusters are looked after; by default, all',
    },
    {
      name: 'gate-image',
      type: 'string',
      usage: 'the image with this program, for the gate before each member',
    },
    {
      name: 'kubeconfig',
      type: 'string',
      usage: 'how to reach the API server; by default as kubectl, or as a pod',
    },
    {
      name: 'lease-namespace',
      type: 'string',
      usage: 'where several operators agree which of them works; by default, this is the only one',
    },
    {
      name: 'metrics-address',
      type: 'string',
      usage: 'where metrics are served, as :8080, with a page /healthz; by default, nowhere',
    },
    {
      name: 'log-level',
      type: 'string',
      default: 'info',
      usage: 'what is logged: debug, info, warn or error',
      values: LOG_LEVELS,
    },
  ],
  run: runOperator,
};

async function runOperator({ flags }: Invocation): Promise<void> {
  const gateImage = flags.text('gate-image');
  if (gateImage === '')
    throw new ExitError(1, 'Error: --gate-image is required: the image with this program');
  const clock = new NodeClock();
  const timezoneOffsetMinutes = (wallMs: number): number => new Date(wallMs).getTimezoneOffset();
  const level = LOG_LEVELS.find((known) => known === flags.text('log-level'));
  if (level === undefined) throw new ExitError(1, `Error: ${flags.text('log-level')} is no level of the log`);
  const logger = createLogger({ level, sink: defaultLogSink(clock), clock, timezoneOffsetMinutes });
  const ending = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort());
  const given = (name: string): string | null => flags.text(name) || null;
  try {
    await operate(
      {
        namespace: given('namespace'),
        gateImage,
        kubeconfig: given('kubeconfig'),
        leaseNamespace: given('lease-namespace'),
        metricsAddress: given('metrics-address'),
        logger,
      },
      ending.signal,
    );
  } catch (error) {
    if (!ending.signal.aborted) throw new ExitError(1, `Error: ${(error as Error).message}`);
  }
}
