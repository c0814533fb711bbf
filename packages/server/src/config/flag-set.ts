/**
 * The flags of one start: texts gathered from the command line, the environment or a configuration file, then read as
 * values. A command line is parsed as Go's flag package does it: `-name` and `--name` are the same, a value stands
 * after `=` or in the next argument, a boolean may stand alone, and the first argument that is no flag ends the
 * flags.
 *
 * Order of use: {@link FlagSet.parseArguments}, then {@link FlagSet.set} for every other source, then {@link FlagSet.resolveLegacy},
 * then the getters.
 */

import type { EtcdUrl } from '@etcd/base';
import { assert } from '@etcd/base';
import { ConfigError } from './config-error.ts';
import type { FeatureGates } from './feature-gates.ts';
import { type FlagSpec, mayStandAlone } from './flag-spec.ts';
import { FLAG_TABLE, settingSpec } from './flag-table.ts';
import { type FlagValue, parseFlagValue } from './flag-value.ts';
import { LEGACY_FLAGS, type LegacyFlag, legacyReplacement } from './legacy-flags.ts';

/** How a refused value is introduced. */
export type FlagSource = 'argument' | 'environment' | 'file';

/** An old spelling that was used, and what stands for it now. */
export interface LegacyUse {
  readonly name: string;
  readonly replacement: string | null;
}

export class FlagSet {
  readonly #values = new Map<string, FlagValue>();
  readonly #given = new Set<string>();
  readonly #legacy = new Map<string, { readonly flag: LegacyFlag; readonly text: string }>();

  /** Takes a command line. Returns the arguments after the flags, or 'help' where help was asked for. */
  parseArguments(args: readonly string[]): readonly string[] | 'help' {
    let at = 0;
    while (at < args.length) {
      const argument = args[at]!;
      if (argument.length < 2 || !argument.startsWith('-')) break;
      at++;
      if (argument === '--') break;
      const body = argument.slice(argument.startsWith('--') ? 2 : 1);
      if (body === '' || body.startsWith('-') || body.startsWith('=')) {
        throw new ConfigError('usage', `bad flag syntax: ${argument}`);
      }
      const equals = body.indexOf('=');
      const name = equals < 0 ? body : body.slice(0, equals);
      const kind = FLAG_TABLE.get(name)?.kind ?? legacyKind(name);
      if (kind === null) {
        if (name === 'help' || name === 'h') return 'help';
        throw new ConfigError('usage', `flag provided but not defined: -${name}`);
      }
      if (equals >= 0) {
        this.set(name, body.slice(equals + 1), 'argument');
      } else if (mayStandAlone(kind)) {
        this.set(name, 'true', 'argument');
      } else {
        if (at === args.length) throw new ConfigError('usage', `flag needs an argument: -${name}`);
        this.set(name, args[at++]!, 'argument');
      }
    }
    return args.slice(at);
  }

  /** Sets a known flag or old spelling to what `text` says; `label` is how `source` calls it. */
  set(name: string, text: string, source: FlagSource, label = name): void {
    const spec = settingSpec(name) ?? legacySpec(name);
    assert(spec !== null, () => `flag set: unknown flag ${name}`);
    const { parsed, error } = parseFlagValue(spec, text);
    if (error !== undefined) throw refusal(spec, text, source, label, error);
    this.#given.add(name);
    const legacy = LEGACY_FLAGS.get(name);
    if (legacy === undefined) this.#values.set(name, parsed);
    else this.#legacy.set(name, { flag: legacy, text });
  }

  /**
   * Takes an old spelling from the environment, if it still means something; otherwise says why it does not. Files of variables are
   * full of relics, of which a newer etcd knows nothing: none of them keeps this one from starting.
   */
  setRelic(name: string, text: string): string | null {
    const flag = LEGACY_FLAGS.get(name);
    const spec = legacySpec(name);
    assert(flag !== undefined && spec !== null, () => `flag set: no old spelling ${name}`);
    if (this.#given.has(name)) return `--${name} is given`;
    if (flag.means === 'nothing') {
      if (flag.harmless?.includes(text) === false) return 'etcd 3.7 has removed what it configured';
    } else {
      const target = flag.means === 'gate' ? 'feature-gates' : flag.target;
      if (this.#given.has(target)) return `--${target} is given`;
    }
    const { error } = parseFlagValue(spec, text);
    if (error !== undefined) return error;
    this.set(name, text, 'environment');
    return null;
  }

  /** Whether the flag itself or an old spelling was given, in any source. */
  isGiven(name: string): boolean {
    return this.#given.has(name);
  }

  /** Names of what was given, old spellings included. */
  given(): ReadonlySet<string> {
    return this.#given;
  }

  /** Turns old spellings into the flags that they stand for. Old and new spelling together are refused. */
  resolveLegacy(): readonly LegacyUse[] {
    const uses: LegacyUse[] = [];
    const gates: string[] = [];
    for (const [name, { flag, text }] of this.#legacy) {
      uses.push({ name, replacement: legacyReplacement(flag) });
      if (flag.means === 'nothing') {
        if (flag.harmless !== null && !flag.harmless.includes(text)) throw removed(name, text);
      } else if (flag.means === 'gate') {
        gates.push(`${flag.target}=${text}`);
      } else {
        if (this.#given.has(flag.target)) {
          throw new ConfigError('invalid', `cannot set both --${name} and its replacement --${flag.target}`);
        }
        this.set(flag.target, text, 'argument', name);
      }
    }
    if (gates.length > 0) {
      if (this.#given.has('feature-gates')) {
        const names = uses.map((use) => `--${use.name}`).join(', ');
        throw new ConfigError('invalid', `cannot set both --feature-gates and what it replaces: ${names}`);
      }
      this.set('feature-gates', gates.join(','), 'argument');
    }
    return uses;
  }

  bool(name: string): boolean {
    const value = this.#value(name);
    assert(value.kind === 'bool', () => `flag set: ${name} is no boolean`);
    return value.value;
  }

  /** An integer, or a duration in milliseconds. */
  number(name: string): number {
    const value = this.#value(name);
    assert(value.kind === 'number', () => `flag set: ${name} is no number`);
    return value.value;
  }

  string(name: string): string {
    const value = this.#value(name);
    assert(value.kind === 'string', () => `flag set: ${name} is no string`);
    return value.value;
  }

  strings(name: string): readonly string[] {
    const value = this.#value(name);
    assert(value.kind === 'strings', () => `flag set: ${name} is no list of strings`);
    return value.value;
  }

  urls(name: string): readonly EtcdUrl[] {
    const value = this.#value(name);
    assert(value.kind === 'urls', () => `flag set: ${name} is no list of URLs`);
    return value.value;
  }

  gates(name: string): FeatureGates {
    const value = this.#value(name);
    assert(value.kind === 'gates', () => `flag set: ${name} is no set of gates`);
    return value.value;
  }

  /** Whether the value differs from the default: setting a flag to its default is as good as not setting it. */
  isDefault(name: string): boolean {
    const value = this.#values.get(name);
    return value === undefined || sameValue(value, defaultValue(name));
  }

  #value(name: string): FlagValue {
    return this.#values.get(name) ?? defaultValue(name);
  }
}

function defaultValue(name: string): FlagValue {
  const spec = settingSpec(name);
  assert(spec !== undefined, () => `flag set: unknown flag ${name}`);
  const { parsed } = parseFlagValue(spec, spec.defaultText);
  assert(parsed !== undefined, () => `flag set: bad default of ${name}`);
  return parsed;
}

function sameValue(a: FlagValue, b: FlagValue): boolean {
  return JSON.stringify(a.value) === JSON.stringify(b.value);
}

function legacyKind(name: string): FlagSpec['kind'] | null {
  return legacySpec(name)?.kind ?? null;
}

/** The row that an old spelling would have in the flag table. */
function legacySpec(name: string): FlagSpec | null {
  const legacy = LEGACY_FLAGS.get(name);
  if (legacy === undefined) return null;
  if (legacy.means === 'flag') return FLAG_TABLE.get(legacy.target) ?? null;
  const kind = legacy.means === 'gate' ? 'bool' : legacy.kind;
  return {
    name,
    kind,
    defaultText: '',
    section: 'ignored',
    help: '',
    configKey: name,
    values: [],
    secret: false,
    lastRelease: null,
  };
}

function refusal(
  spec: FlagSpec,
  text: string,
  source: FlagSource,
  label: string,
  error: string,
): ConfigError {
  const shown = spec.secret ? '"***"' : JSON.stringify(text);
  // A list of origins is a list of URLs too, but etcd reads that later.
  if (source === 'file' && spec.kind === 'urls')
    return new ConfigError('file-url', `unexpected error setting up ${label}: ${error}`);
  if (source !== 'argument')
    return new ConfigError('invalid', `invalid value ${shown} for ${label}: ${error}`);
  const message =
    spec.kind === 'bool'
      ? `invalid boolean value ${shown} for -${label}: ${error}`
      : `invalid value ${shown} for flag -${label}: ${error}`;
  return new ConfigError('usage', message);
}

function removed(name: string, text: string): ConfigError {
  return new ConfigError('invalid', `--${name}=${text} is not supported: etcd 3.7 has removed this flag`);
}
