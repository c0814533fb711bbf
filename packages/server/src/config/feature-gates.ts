/**
 * Switches for behaviour that is young: `--feature-gates=A=true,B=false`, with `AllAlpha` and `AllBeta` for every gate
 * of a stage that is not set by name. Names, stages and defaults are those of etcd 3.7.
 */
import { parseGoBool } from '@etcd/host/args';

export type FeatureStage = 'ALPHA' | 'BETA';

export interface FeatureSpec {
  readonly defaultValue: boolean;
  readonly stage: FeatureStage;
}

export const FEATURES = {
  AllAlpha: { defaultValue: false, stage: 'ALPHA' },
  AllBeta: { defaultValue: false, stage: 'BETA' },
  CompactHashCheck: { defaultValue: false, stage: 'ALPHA' },
  FastLeaseKeepAlive: { defaultValue: true, stage: 'BETA' },
  InitialCorruptCheck: { defaultValue: false, stage: 'ALPHA' },
  LeaseCheckpoint: { defaultValue: false, stage: 'ALPHA' },
  LeaseCheckpointPersist: { defaultValue: false, stage: 'ALPHA' },
  PriorityRequest: { defaultValue: false, stage: 'ALPHA' },
  SetMemberLocalAddr: { defaultValue: false, stage: 'ALPHA' },
  StopGRPCServiceOnDefrag: { defaultValue: false, stage: 'ALPHA' },
  TxnModeWriteWithSharedBuffer: { defaultValue: true, stage: 'BETA' },
} as const satisfies Readonly<Record<string, FeatureSpec>>;

export type FeatureName = keyof typeof FEATURES;

/** Gates that change nothing here, and why; changing one is answered with a warning. */
export const IDLE_GATES: Readonly<Partial<Record<FeatureName, string>>> = {
  FastLeaseKeepAlive: 'a leader that surely leads never waits before it answers',
  PriorityRequest: 'no request is preferred to others yet',
  SetMemberLocalAddr: 'the system chooses from which address other members are dialled',
  TxnModeWriteWithSharedBuffer: 'there is no such buffer',
};

export type FeatureGates = Readonly<Record<FeatureName, boolean>>;

export type ParsedGates =
  | { readonly gates: FeatureGates; readonly error?: undefined }
  | { readonly gates?: undefined; readonly error: string };

export const FEATURE_NAMES = Object.keys(FEATURES) as readonly FeatureName[];

/** Every gate's value under `text`. */
export function parseFeatureGates(text: string): ParsedGates {
  const chosen = new Map<FeatureName, boolean>();
  for (const pair of text.split(',')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = (equals < 0 ? pair : pair.slice(0, equals)).trim();
    if (equals < 0) return { error: `missing bool value for ${name}` };
    const valueText = pair.slice(equals + 1).trim();
    const value = parseGoBool(valueText);
    if (value === null) {
      const reason = `strconv.ParseBool: parsing ${JSON.stringify(valueText)}: invalid syntax`;
      return { error: `invalid value of ${name}=${valueText}, err: ${reason}` };
    }
    if (!isFeatureName(name)) return { error: `unrecognized feature gate: ${name}` };
    chosen.set(name, value);
  }
  const allOfStage = { ALPHA: chosen.get('AllAlpha'), BETA: chosen.get('AllBeta') };
  const gateValue = (name: FeatureName): boolean => {
    const { stage, defaultValue } = FEATURES[name];
    if (name === 'AllAlpha' || name === 'AllBeta') return chosen.get(name) ?? defaultValue;
    return chosen.get(name) ?? allOfStage[stage] ?? defaultValue;
  };
  const pairs = FEATURE_NAMES.map((name): [FeatureName, boolean] => [name, gateValue(name)]);
  return { gates: Object.fromEntries(pairs) as Record<FeatureName, boolean> };
}

function isFeatureName(name: string): name is FeatureName {
  return Object.hasOwn(FEATURES, name);
}
