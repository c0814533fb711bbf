/**
 * The start of a start: from arguments and environment to a {@link Config}, or to what to print instead. Nothing is logged
 * here, because the logger is configured by what is being read; what is worth a line comes back as {@link Notice}s.
 *
 * Precedence is etcd's: an argument beats the environment, and setting both is refused, because nobody can know which
 * one was meant; a configuration file beats and silences both.
 */

import { type EtcdUrl, parseUrlList, urlTexts } from '@etcd/base';
import { parseGoBool } from '@etcd/host/args';
import type { DefaultHost } from '@etcd/host/net';
import { memberDirectory } from '@etcd/storage/data';
import { buildConfig, type DerivedUrls, type Notice } from './build-config.ts';
import type { Config } from './config.ts';
import { ConfigError } from './config-error.ts';
import { type DocumentParser, type FileSettings, readConfigFile } from './config-file.ts';
import { asksForDiscovery, type DiscoveryConfig } from './discovery-config.ts';
import { FEATURES, type FeatureName, IDLE_GATES } from './feature-gates.ts';
import { FlagSet } from './flag-set.ts';
import { environmentName } from './flag-spec.ts';
import { flagSupport } from './flag-support.ts';
import { FILE_SETTINGS, FLAG_TABLE } from './flag-table.ts';
import { LEGACY_FLAGS } from './legacy-flags.ts';
import { Problems } from './problems.ts';

/** The outside world of a start. */
export interface StartWorld {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Throws where the file can't be read. */
  readFile(path: string): string;
  readonly parseDocument: DocumentParser;
  defaultHost(): DefaultHost;
}

export type StartRequest =
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'refused'; readonly error: ConfigError; readonly notices: readonly Notice[] }
  | {
      readonly kind: 'run';
      readonly config: Config;
      readonly notices: readonly Notice[];
      /** Nothing is to be started: whoever asks wants to know whether it could be. */
      readonly isCheck: boolean;
    };

const DEFAULT_PEER_URL = 'http://localhost:2380';
const DEFAULT_CLIENT_URL = 'http://localhost:2379';
const DEFAULT_NAME = 'default';

/** No flag, as in etcd: what a member checks of its data at its start and at its end. */
const VERIFY_ENVIRONMENT_NAME = 'ETCD_VERIFY';
/** Etcd's name for those checks, and that for all there are. Its other names are of checks inside its own locks. */
const VERIFY_VALUES: ReadonlySet<string> = new Set(['all', 'storage_wal']);
/** Names that begin like a flag's environment name but are none's. */
const OTHER_ENVIRONMENT_NAMES: ReadonlySet<string> = new Set(['ETCD_NODE_OPTIONS', VERIFY_ENVIRONMENT_NAME]);

/** etcd warns about this one by itself: it would mean the flag --version. */
const VERSION_ENVIRONMENT_NAME = 'ETCD_VERSION';

export async function loadConfig(args: readonly string[], world: StartWorld): Promise<StartRequest> {
  const notices: Notice[] = [];
  try {
    const flags = new FlagSet();
    const rest = flags.parseArguments(args);
    if (rest === 'help') return { kind: 'help' };
    if (rest.length > 0) throw new ConfigError('invalid', `${JSON.stringify(rest[0])} is not a valid flag`);
    if (flags.bool('version')) return { kind: 'version' };
    const file = flags.string('config-file') || world.environment[environmentName('config-file')] || '';
    const config = file === '' ? fromCommandLine(args, world, notices) : await fromFile(file, world, notices);
    return { kind: 'run', config, notices, isCheck: isCheck(flags, world) };
  } catch (error) {
    if (error instanceof ConfigError) return { kind: 'refused', error, notices };
    throw error;
  }
}

function isCheck(flags: FlagSet, { environment }: StartWorld): boolean {
  const text = environment[environmentName('check-config')] ?? '';
  return flags.bool('check-config') || parseGoBool(text) === true;
}

function fromCommandLine(args: readonly string[], world: StartWorld, notices: Notice[]): Config {
  const withRelics: Notice[] = [];
  try {
    const config = fromFlags(args, world, withRelics, true);
    notices.push(...withRelics);
    return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { message } = error;
    const config = fromFlags(args, world, notices, false);
    notices.push({
      level: 'warn',
      message: 'ignoring variables of older releases',
      fields: { error: message },
    });
    return config;
  }
}

/** @param withRelics whether variables of older releases count, as far as they mean something. */
function fromFlags(
  args: readonly string[],
  world: StartWorld,
  notices: Notice[],
  withRelics: boolean,
): Config {
  const flags = new FlagSet();
  flags.parseArguments(args);
  const problems = new Problems();
  readEnvironment(flags, world.environment, notices, problems);
  readRelics(flags, world.environment, notices, withRelics);
  const listenGiven = flags.isGiven('listen-client-urls');
  const noAdvertised = listenGiven && !flags.isGiven('advertise-client-urls');
  return finish(flags, world, notices, problems, noAdvertised);
}

/** Flags of the command line do not count any more: etcd drops them all, and one that half counts is worse. */
async function fromFile(path: string, world: StartWorld, notices: Notice[]): Promise<Config> {
  let text: string;
  try {
    text = world.readFile(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError('invalid', `open ${path}: ${reason}`);
  }
  const settings = await readConfigFile(path, text, world.parseDocument);
  notices.push({
    level: 'info',
    message:
      'loaded server configuration, other configuration command line flags and environment variables will be ignored if provided',
    fields: { path },
  });
  if (settings.unknownKeys.length > 0) {
    notices.push({
      level: 'warn',
      message: 'configuration file has keys that nothing reads',
      fields: { path, keys: settings.unknownKeys },
    });
  }
  const problems = new Problems((error) => located(error, settings));
  for (const error of settings.problems) problems.add(error);
  const flags = new FlagSet();
  for (const [name, flagText] of settings.texts) {
    problems.attempt(() => placed(settings.placeOf(name), () => flags.set(name, flagText, 'file', name)));
  }
  return finish(flags, world, notices, problems, false);
}

/** What `set` throws, with the place in front. */
function placed(place: string, set: () => void): void {
  try {
    set();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.code, `${place}: ${error.message}`);
  }
}

/** With the place of the setting that the mistake is about, if it names one that the file has. */
function located(error: ConfigError, { texts, placeOf }: FileSettings): ConfigError {
  const path = placeOf('');
  if (error.message.startsWith(path)) return error;
  const names = [...error.message.matchAll(/--([a-z][a-z0-9-]*)/g)].map((match) => match[1]!);
  const given = names.find((name) => texts.has(name));
  return new ConfigError(error.code, `${given === undefined ? path : placeOf(given)}: ${error.message}`);
}

/** Everything is checked, whatever has been found before: one message for each mistake. */
function finish(
  flags: FlagSet,
  world: StartWorld,
  notices: Notice[],
  problems: Problems,
  noAdvertised: boolean,
): Config {
  const uses = problems.attempt(() => flags.resolveLegacy()) ?? [];
  for (const { name, replacement } of uses) {
    const advice = replacement === null ? 'it has no effect any more' : `use ${replacement}`;
    notices.push({ level: 'warn', message: `--${name} is deprecated: ${advice}` });
  }
  tellOfNoEffect(flags, notices);
  const urls = deriveUrls(flags, world, notices, noAdvertised);
  const config = { ...buildConfig(flags, urls, notices, problems), verify: isVerifying(world) };
  addConfigNotices(flags, config, notices);
  return config;
}

function isVerifying({ environment }: StartWorld): boolean {
  return VERIFY_VALUES.has((environment[VERIFY_ENVIRONMENT_NAME] ?? '').toLowerCase());
}

function readEnvironment(
  flags: FlagSet,
  environment: Readonly<Record<string, string | undefined>>,
  notices: Notice[],
  problems: Problems,
): void {
  const fromArguments = new Set(flags.given());
  const known = new Set<string>([...OTHER_ENVIRONMENT_NAMES, VERSION_ENVIRONMENT_NAME]);
  if (environment[VERSION_ENVIRONMENT_NAME]) {
    notices.push({
      level: 'warn',
      message: 'cannot set special environment variable',
      fields: { key: VERSION_ENVIRONMENT_NAME, value: environment[VERSION_ENVIRONMENT_NAME] },
    });
  }
  for (const name of FLAGS_IN_ORDER) {
    const variable = environmentName(name);
    if (variable === VERSION_ENVIRONMENT_NAME) continue;
    known.add(variable);
    const text = environment[variable];
    if (text === undefined) continue;
    if (fromArguments.has(name)) {
      const advice = '(either unset environment variable or disable flag))';
      problems.add(
        new ConfigError(
          'invalid',
          `conflicting environment variable is shadowed by corresponding command-line flag ${advice}: ${variable}`,
        ),
      );
      continue;
    }
    if (text === '') continue;
    if (isRelic(flags, name)) {
      const fields = { 'environment-variable': variable, reason: 'another way to find the cluster is given' };
      notices.push({ level: 'warn', message: 'unrecognized environment variable', fields });
      continue;
    }
    problems.attempt(() => flags.set(name, text, 'environment', variable));
    const shown = FLAG_TABLE.get(name)?.secret ? '***' : text;
    notices.push({
      level: 'info',
      message: 'recognized and used environment variable',
      fields: { 'variable-name': variable, 'variable-value': shown },
    });
  }
  for (const name of LEGACY_FLAGS.keys()) known.add(environmentName(name));
  for (const variable of Object.keys(environment)) {
    if (!variable.startsWith('ETCD_') || known.has(variable)) continue;
    // Only the name: what nobody recognizes may be a secret of somebody else.
    notices.push({
      level: 'warn',
      message: 'unrecognized environment variable',
      fields: { 'environment-variable': variable },
    });
  }
}

/** Those of older releases come last: whether they count depends on the others. */
const FLAGS_IN_ORDER: readonly string[] = [...FLAG_TABLE.values()]
  .sort((a, b) => Number(a.lastRelease !== null) - Number(b.lastRelease !== null))
  .map(({ name }) => name);

/** Etcd 3.7 does not know the variable: it does not get in the way of what 3.7 would do. */
function isRelic(flags: FlagSet, name: string): boolean {
  if (FLAG_TABLE.get(name)?.lastRelease === null) return false;
  return ['initial-cluster', 'discovery-srv', 'discovery-endpoints'].some((other) => flags.isGiven(other));
}

/** None of these ends the start: for etcd 3.7 they are unknown, and it only says so. */
function readRelics(
  flags: FlagSet,
  environment: Readonly<Record<string, string | undefined>>,
  notices: Notice[],
  count: boolean,
): void {
  for (const name of LEGACY_FLAGS.keys()) {
    const variable = environmentName(name);
    const text = environment[variable];
    if (!text) continue;
    const reason = count ? flags.setRelic(name, text) : 'it does not fit with the other settings';
    if (reason === null) continue;
    notices.push({
      level: 'warn',
      message: 'unrecognized environment variable',
      fields: { 'environment-variable': variable, reason },
    });
  }
}

/** Names what has no effect. */
function tellOfNoEffect(flags: FlagSet, notices: Notice[]): void {
  for (const spec of [...FLAG_TABLE.values(), ...FILE_SETTINGS.values()]) {
    const support = flagSupport(spec);
    if (support.status === 'acts' || flags.isDefault(spec.name)) continue;
    if (support.status === 'no-effect') {
      notices.push({
        level: 'warn',
        message: 'flag has no effect',
        fields: { flag: `--${spec.name}`, reason: support.reason },
      });
    }
  }
  const gates = flags.gates('feature-gates');
  for (const [name, reason] of Object.entries(IDLE_GATES) as [FeatureName, string][]) {
    if (gates[name] === FEATURES[name].defaultValue) continue;
    notices.push({ level: 'warn', message: 'feature gate has no effect', fields: { gate: name, reason } });
  }
}

/** The URLs whose defaults depend on other flags and on the machine. */
function deriveUrls(
  flags: FlagSet,
  world: StartWorld,
  notices: Notice[],
  noAdvertised: boolean,
): DerivedUrls {
  const name = flags.string('name');
  let advertisePeer = flags.urls('initial-advertise-peer-urls');
  let advertiseClient = noAdvertised ? [] : flags.urls('advertise-client-urls');
  const peerPort = portOnEveryInterface(flags.urls('listen-peer-urls'));
  const clientPort = portOnEveryInterface(flags.urls('listen-client-urls'));
  const replacesPeer = peerPort !== null && isOnly(advertisePeer, DEFAULT_PEER_URL);
  const replacesClient = clientPort !== null && isOnly(advertiseClient, DEFAULT_CLIENT_URL);
  if (replacesPeer || replacesClient) {
    const { host, error } = world.defaultHost();
    if (error !== undefined) {
      notices.push({ level: 'info', message: 'failed to detect default host', fields: { error } });
    } else {
      notices.push({ level: 'info', message: 'detected default host for advertise', fields: { host } });
      if (replacesPeer) advertisePeer = httpUrl(host, peerPort);
      if (replacesClient) advertiseClient = httpUrl(host, clientPort);
    }
  }
  let initialCluster = flags.string('initial-cluster');
  if (asksForDiscovery(flags) && !flags.isGiven('initial-cluster')) initialCluster = '';
  if (name !== DEFAULT_NAME && initialCluster === `${DEFAULT_NAME}=${DEFAULT_PEER_URL}`) {
    initialCluster = advertisePeer.map((url) => `${name || DEFAULT_NAME}=${url.text}`).join(',');
  }
  return {
    advertiseClientUrls: advertiseClient,
    initialAdvertisePeerUrls: advertisePeer,
    initialCluster,
  };
}

function portOnEveryInterface(urls: readonly EtcdUrl[]): string | null {
  const first = urls[0];
  return first?.hostname === '0.0.0.0' ? first.port : null;
}

function isOnly(urls: readonly EtcdUrl[], text: string): boolean {
  return urls.length === 1 && urls[0]!.text === text;
}

function httpUrl(host: string, port: string): readonly EtcdUrl[] {
  const bracketed = host.includes(':') ? `[${host}]` : host;
  const { urls, error } = parseUrlList(`http://${bracketed}:${port}`);
  if (error !== undefined) throw new ConfigError('invalid', error);
  return urls;
}

function addConfigNotices(flags: FlagSet, config: Config, notices: Notice[]): void {
  if (flags.isGiven('max-snapshots')) {
    notices.push({
      level: 'warn',
      message: '--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.',
    });
  }
  if (config.name === DEFAULT_NAME) {
    notices.push({
      level: 'warn',
      message:
        'no --name given: members of one cluster that share the name "default" are taken for one member',
      fields: { name: config.name },
    });
  }
  if (flags.string('data-dir') === '') {
    notices.push({
      level: 'warn',
      message: "'data-dir' was empty; using default",
      fields: { 'data-dir': config.dataDir },
    });
  }
  if (config.unsafeNoFsync) {
    notices.push({
      level: 'warn',
      message: 'fsync is off: a crash of the machine loses acknowledged writes',
      fields: { flag: '--unsafe-no-fsync' },
    });
  }
  if (config.maxRequestBytes > RECOMMENDED_REQUEST_BYTES) {
    notices.push({
      level: 'warn',
      message: 'exceeded recommended request limit',
      fields: {
        'max-request-bytes': config.maxRequestBytes,
        'recommended-request-bytes': RECOMMENDED_REQUEST_BYTES,
      },
    });
  }
}

const RECOMMENDED_REQUEST_BYTES = 10 * 1024 ** 2;

function discoveryLogFields(discovery: DiscoveryConfig | null): Readonly<Record<string, unknown>> {
  switch (discovery?.kind) {
    case undefined:
      return {};
    case 'srv':
      return { 'discovery-srv': discovery.domain, 'discovery-srv-name': discovery.serviceName };
    case 'url':
      return { 'discovery-url': discovery.url };
    case 'etcd':
      return {
        'discovery-token': discovery.token,
        'discovery-endpoints': discovery.endpoints.join(','),
      };
  }
}

/** The settings as one log line has them, under etcd's field names. */
export function configLogFields(config: Config): Readonly<Record<string, unknown>> {
  return {
    'member-dir': memberDirectory(config),
    name: config.name,
    'data-dir': config.dataDir,
    'wal-dir': config.walDir,
    'initial-advertise-peer-urls': urlTexts(config.initialAdvertisePeerUrls),
    'listen-peer-urls': urlTexts(config.listenPeerUrls),
    'advertise-client-urls': urlTexts(config.advertiseClientUrls),
    'listen-client-urls': urlTexts(config.listenClientUrls),
    'listen-metrics-urls': urlTexts(config.listenMetricsUrls),
    'initial-cluster': config.initialCluster,
    'initial-cluster-state': config.initialClusterState,
    'initial-cluster-token': config.initialClusterToken,
    ...discoveryLogFields(config.discovery),
    'max-cluster-version': config.maxClusterVersion,
    'snapshot-count': config.snapshotCount,
    'snapshot-catchup-entries': config.snapshotCatchUpEntries,
    'max-wals': config.maxWals,
    'max-snapshots': config.maxSnapshots,
    'quota-backend-bytes': config.quotaBackendBytes,
    'max-request-bytes': config.maxRequestBytes,
    'max-concurrent-streams': config.maxConcurrentStreams,
    'pre-vote': config.preVote,
    'auto-compaction': config.autoCompaction,
  };
}
