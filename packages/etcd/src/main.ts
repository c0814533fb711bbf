/**
 * The program `etcd`: reads its configuration, prepares its process and its data directory, and runs a member until a
 * signal stops it.
 */
import { exitAtOnce, NodeClock, NodeDisk, NodeRandom } from '@etcd/base/node';
import {
  createLogger,
  defaultLogSink,
  type EtcdLogger,
  LOG_LEVEL_NAMES,
  LogOutputError,
  type LogSink,
  openLogSink,
} from '@etcd/host/logging';
import { ListenError } from '@etcd/host/net';
import {
  connectionLimit,
  DataDirectoryError,
  descriptorLimit,
  findLockHolder,
  giveBackAtRest,
  handedSockets,
  holdProcess,
  InitSystem,
  ignoreSignals,
  keepObjectsYoung,
  Lifecycle,
  letSmallHeapGrow,
  prepareDataDirectory,
  RESERVED_DESCRIPTORS,
  repairUmask,
  runtimeFields,
  sendUnixDatagram,
  setProcessName,
  swapGuard,
} from '@etcd/host/process';
import {
  type Config,
  ConfigError,
  configLogFields,
  ETCD_VERSION,
  GIT_SHA,
  helpText,
  loadConfig,
  MemberStartError,
  maskArguments,
  nodeStartWorld,
  requestTimeoutMs,
  type StartRequest,
  versionText,
} from '@etcd/server/config';
import { Metrics } from '@etcd/server/metrics';
import { isStorageFailure, startMember } from '@etcd/server/serve';

/** What a stop may take beyond the requests that are under way. */
const SHUTDOWN_SLACK_MS = 5000;

/** What the operator can set right. */
const START_ERRORS = [DataDirectoryError, ListenError, MemberStartError];

const MEMBER_FAILED = 'member failed';

const SUBCOMMANDS = new Set(['gateway', 'grpc-proxy']);

const clock = new NodeClock();

async function main(args: readonly string[]): Promise<void> {
  setProcessName('etcd');
  ignoreSignals(process, process.execArgv);
  if (SUBCOMMANDS.has(args[0] ?? '')) return await runCommand(args);
  const request = await loadConfig(args, nodeStartWorld(process.env));
  switch (request.kind) {
    case 'help':
      return print(helpText());
    case 'version': {
      const { platform: os, arch: architecture, version: nodeVersion } = process;
      return print(versionText({ os, architecture, nodeVersion }));
    }
    case 'refused':
      return refuse(args, request.error, request.notices);
    case 'run':
      return request.isCheck ? await check(request) : await run(args, request);
  }
}

/** One of the commands beside the server. */
async function runCommand(args: readonly string[]): Promise<void> {
  const { Io, runProgram } = await import('@etcd/host/cli');
  const { PROXY_COMMANDS } = await import('@etcd/proxy/commands');
  exitAtOnce(await runProgram(PROXY_COMMANDS, args, new Io()));
}

/** Says whether a member could be started, and exits as a start would. */
async function check({ config, notices }: StartRequest & { kind: 'run' }): Promise<void> {
  const { fileProblems } = await import('./check-config.ts');
  const logger = newLogger('info', defaultLogSink(clock)).child({ caller: 'server/main' });
  for (const { level, message, fields } of notices) logger[level](message, fields);
  const problems = await fileProblems(config, { clock, logger });
  for (const error of problems) logger.warn('failed to verify flags', { error });
  if (problems.length > 0) process.exitCode = 1;
  else print('the configuration is valid\n');
}

async function run(args: readonly string[], request: StartRequest & { kind: 'run' }): Promise<void> {
  const { config, notices } = request;
  let sink: LogSink;
  try {
    const { logOutputs: outputs, logFormat: format, logRotation: rotation } = config;
    sink = openLogSink({ outputs, format, rotation, clock });
  } catch (error) {
    if (!(error instanceof LogOutputError)) throw error;
    return refuse(args, new ConfigError('invalid', error.message), notices);
  }
  const root = newLogger(config.logLevel, sink);
  const logger = root.child({ caller: 'server/main' });
  const shutdownLimitMs = requestTimeoutMs(config) + SHUTDOWN_SLACK_MS;
  const failureOf = (error: unknown): string | null => (isStorageFailure(error) ? MEMBER_FAILED : null);
  const lifecycle = new Lifecycle({
    process,
    logger,
    clock,
    shutdownLimitMs,
    hold: holdProcess,
    failureOf,
    exit: exitAtOnce,
  });
  lifecycle.install();
  const wrongUmask = repairUmask();
  if (wrongUmask !== null) logger.warn('umask took our own files away; corrected it', { umask: wrongUmask });
  logger.info('Running: ', { args: ['etcd', ...maskArguments(args)] });
  for (const { level, message, fields } of notices) logger[level](message, fields);
  try {
    await runMember(config, root, lifecycle);
  } catch (error) {
    const isExpected = START_ERRORS.some((expected) => error instanceof expected);
    if (!isExpected) throw error;
    lifecycle.die('failed to start etcd', { error });
  }
}

/** What is done about memory that can be swapped out, for which `--memory-mlock` does not want to run. */
const MEMORY_HINT =
  '--memory-mlock: start it where memory.swap.max of its control group is 0 (MemorySwapMax=0 in a unit of systemd), or where there is no swap';

async function runMember(config: Config, root: EtcdLogger, lifecycle: Lifecycle): Promise<void> {
  const logger = root.child({ caller: 'server/main' });
  const limit = descriptorLimit();
  if (limit !== null && limit <= RESERVED_DESCRIPTORS) {
    const message = 'file descriptor limit of etcd process is too low; please set higher';
    lifecycle.die(message, { limit, 'recommended-limit': RESERVED_DESCRIPTORS });
  }
  if (config.memoryMlock) {
    const guard = swapGuard();
    if (guard === null)
      lifecycle.die('the memory of etcd process can be swapped out', { error: MEMORY_HINT });
    logger.info('no page of this process can be swapped out', { reason: guard });
  }
  const disk = new NodeDisk();
  const ownPaths = [config.walDir, ...config.logOutputs].filter((path) => path !== '');
  prepareDataDirectory({ disk, dataDir: config.dataDir, ownPaths, logger, findLockHolder });
  logger.info('starting an etcd server', {
    'etcd-version': ETCD_VERSION,
    'git-sha': GIT_SHA,
    ...configLogFields(config),
    ...runtimeFields(),
  });
  const init = newInitSystem(logger);
  const sockets = handedSockets(process.env, process.pid);
  const member = await startMember({
    config,
    handedSockets: sockets,
    logger: root,
    metrics: new Metrics({ detail: config.metrics, featureGates: config.featureGates }),
    clock,
    disk,
    random: new NodeRandom(),
    connectionLimit: connectionLimit(limit),
    logLevel: {
      level: () => root.level(),
      setLevel: (level) => setLevel(root, level),
    },
  });
  lifecycle.onShutdown(() => init.stopping());
  lifecycle.onShutdown(() => member.stop());
  lifecycle.onHangup(() => {
    init.reloading();
    void member.reloadCertificates().then(() => init.reloaded());
  });
  void member.removed.then(() => {
    logger.warn('server error', { error: 'the member has been permanently removed from the cluster' });
    logger.warn('data-dir used by this member must be removed');
    lifecycle.end();
  });
  const failure = await Promise.race([member.ready, member.failed]);
  if (failure instanceof Error) lifecycle.die(MEMBER_FAILED, { error: failure });
  letSmallHeapGrow(clock);
  giveBackAtRest(clock);
  keepObjectsYoung(clock);
  init.ready();
  const error = await member.failed;
  lifecycle.die(MEMBER_FAILED, { error });
}

function newInitSystem(logger: EtcdLogger): InitSystem {
  const monotonicUsec = (): bigint => process.hrtime.bigint() / 1000n;
  const { env: environment, pid } = process;
  return new InitSystem({ environment, pid, clock, logger, send: sendUnixDatagram, monotonicUsec });
}

/** False: there is no such level. */
function setLevel(root: EtcdLogger, text: string): boolean {
  const level = LOG_LEVEL_NAMES.find((name) => name === text.toLowerCase());
  if (level === undefined) return false;
  const before = root.level();
  root.setLevel(level);
  root.warn('the level of the log was changed', { from: before, to: level });
  return true;
}

/** A line for each mistake, for whoever started the program, in the form that etcd gives it. */
function refuse(
  args: readonly string[],
  error: ConfigError,
  notices: (StartRequest & { kind: 'refused' })['notices'],
): void {
  process.exitCode = error.exitCode;
  // What the flag parser says is no line of the log; nor is a URL of a file that is none.
  for (const { code, message } of error.all) if (code !== 'invalid') process.stderr.write(`${message}\n`);
  const invalid = error.all.filter(({ code }) => code === 'invalid');
  if (invalid.length === 0) return;
  const logger = newLogger('info', defaultLogSink(clock)).child({ caller: 'server/main' });
  for (const { level, message, fields } of notices) logger[level](message, fields);
  logger.info('Running: ', { args: ['etcd', ...maskArguments(args)] });
  for (const each of invalid) logger.warn('failed to verify flags', { error: each });
}

/** A reader that has seen enough (`etcd --help | head`) is no failure. */
function print(text: string): void {
  process.stdout.on('error', () => {});
  process.stdout.write(text);
}

function newLogger(level: Config['logLevel'], sink: LogSink): EtcdLogger {
  const timezoneOffsetMinutes = (wallMs: number): number => new Date(wallMs).getTimezoneOffset();
  return createLogger({ level, sink, clock, timezoneOffsetMinutes });
}

void main(process.argv.slice(2));
