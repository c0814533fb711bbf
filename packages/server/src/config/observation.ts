/** What flags decide about what a member tells of itself: its log, its metrics, profiles and traces. */
import { LOG_LEVEL_NAMES, type LogLevelName } from '@etcd/host/logging';
import { type Config, MAX_SAMPLES_PER_MILLION, type TracingConfig } from './config.ts';
import { ConfigError } from './config-error.ts';
import type { FlagSet } from './flag-set.ts';
import { logRotation } from './log-rotation.ts';
import type { Problems } from './problems.ts';

type Observation = Pick<
  Config,
  'enablePprof' | 'logFormat' | 'logLevel' | 'logOutputs' | 'logRotation' | 'metrics' | 'tracing'
>;

export function observation(flags: FlagSet): Observation {
  const logOutputs = flags.strings('log-outputs');
  return {
    metrics: flags.string('metrics') === 'extensive' ? 'extensive' : 'basic',
    logLevel: logLevel(flags),
    logFormat: flags.string('log-format') === 'console' ? 'console' : 'json',
    logOutputs: logOutputs.length === 0 ? ['default'] : logOutputs,
    logRotation: logRotation(flags),
    enablePprof: flags.bool('enable-pprof'),
    tracing: tracing(flags),
  };
}

/** Everything that may be wrong with it goes to `problems`. */
export function checkObservation(flags: FlagSet, problems: Problems): void {
  const logger = flags.string('logger');
  problems.attempt(() => {
    if (logger === 'capnslog') refuse('--logger=capnslog is removed in v3.5');
    if (logger !== 'zap') refuse(`unknown logger option ${JSON.stringify(logger)}`);
  });
  const outputs = flags.strings('log-outputs');
  problems.attempt(() => {
    if (outputs.length > 1 && outputs.includes('default')) {
      refuse('multi logoutput for "default" is not supported yet');
    }
  });
  problems.attempt(() => logLevel(flags));
  const format = flags.string('log-format');
  problems.attempt(() => {
    if (format !== '' && format !== 'json' && format !== 'console') {
      refuse(`unknown log format: ${format}, supported values json, console`);
    }
  });
  problems.attempt(() => logRotation(flags));
  problems.attempt(() => tracing(flags));
}

function logLevel(flags: FlagSet): LogLevelName {
  const text = flags.string('log-level');
  const wanted = text.toLowerCase() || 'info';
  const level = LOG_LEVEL_NAMES.find((name) => name === wanted);
  return level ?? refuse(`unrecognized level: ${JSON.stringify(text)}`);
}

function tracing(flags: FlagSet): TracingConfig | null {
  if (!flags.bool('enable-distributed-tracing')) return null;
  const samplesPerMillion = flags.number('distributed-tracing-sampling-rate');
  const refuseRate = (reason: string): never =>
    refuse(`distributed tracing configurition is not valid: (${reason})`);
  if (samplesPerMillion < 0) refuseRate('tracing sampling rate must be positive');
  if (samplesPerMillion > MAX_SAMPLES_PER_MILLION) {
    refuseRate(`tracing sampling rate must be less than ${MAX_SAMPLES_PER_MILLION}`);
  }
  return {
    address: flags.string('distributed-tracing-address'),
    serviceName: flags.string('distributed-tracing-service-name'),
    instanceId: flags.string('distributed-tracing-instance-id'),
    samplesPerMillion,
  };
}

function refuse(message: string): never {
  throw new ConfigError('invalid', message);
}
