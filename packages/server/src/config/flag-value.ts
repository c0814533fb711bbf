/**
 * From the text of a flag to its value, by the flag's kind. A refusal carries the words that Go's flag package and
 * etcd's value types have for it.
 */
import { type EtcdUrl, parseUrlList } from '@etcd/base';
import {
  clampToSafeNumber,
  type GoIntegerType,
  type NumberProblem,
  parseGoBool,
  parseGoDuration,
  parseGoInteger,
} from '@etcd/host/args';
import { type FeatureGates, parseFeatureGates } from './feature-gates.ts';
import type { FlagSpec } from './flag-spec.ts';

export type FlagValue =
  | { readonly kind: 'bool'; readonly value: boolean }
  /** Integers beyond 2^53 - 1 are clamped to it; durations are in milliseconds. */
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'urls'; readonly value: readonly EtcdUrl[] }
  | { readonly kind: 'gates'; readonly value: FeatureGates };

export type ParsedFlagValue =
  | { readonly parsed: FlagValue; readonly error?: undefined }
  | { readonly parsed?: undefined; readonly error: string };

export function parseFlagValue(spec: FlagSpec, text: string): ParsedFlagValue {
  switch (spec.kind) {
    case 'bool':
      return parseBool(text);
    case 'int':
    case 'int64':
    case 'uint':
    case 'uint64':
      return parseInteger(text, spec.kind, FLAG_PROBLEMS);
    case 'uint32':
      return parseInteger(text, spec.kind, strconvProblems(text));
    case 'duration': {
      const { durationMs } = parseGoDuration(text);
      // Go's flag package keeps the reason to itself.
      return durationMs === undefined ? { error: 'parse error' } : number(durationMs);
    }
    case 'one-of':
      return spec.values.includes(text) ? string(text) : { error: 'invalid value' };
    case 'some-of': {
      const unknown = text.split(',').find((item) => !spec.values.includes(item));
      return unknown === undefined ? string(text) : { error: `invalid value ${JSON.stringify(unknown)}` };
    }
    case 'urls':
      return parseUrlsOrDefault(text === '' ? spec.defaultText : text);
    case 'origins':
      return parseOrigins(text);
    case 'strings':
      return strings(text === '' ? [] : text.split(','));
    case 'string-set':
      return strings(text === '' ? [] : [...new Set(text.split(','))].sort());
    case 'feature-gates': {
      const { gates, error } = parseFeatureGates(text);
      return error === undefined ? { parsed: { kind: 'gates', value: gates } } : { error };
    }
    case 'string':
    case 'ignored':
      return string(text);
  }
}

function parseBool(text: string): ParsedFlagValue {
  const value = parseGoBool(text);
  return value === null ? { error: 'parse error' } : { parsed: { kind: 'bool', value } };
}

function parseInteger(
  text: string,
  type: GoIntegerType,
  problems: Readonly<Record<NumberProblem, string>>,
): ParsedFlagValue {
  const { value, problem } = parseGoInteger(text, type);
  return problem === undefined ? number(clampToSafeNumber(value)) : { error: problems[problem] };
}

const FLAG_PROBLEMS: Readonly<Record<NumberProblem, string>> = {
  syntax: 'parse error',
  range: 'value out of range',
};

function strconvProblems(text: string): Record<NumberProblem, string> {
  const prefix = `strconv.ParseUint: parsing ${JSON.stringify(text)}`;
  return { syntax: `${prefix}: invalid syntax`, range: `${prefix}: value out of range` };
}

function parseUrlsOrDefault(text: string): ParsedFlagValue {
  if (text === '') return { parsed: { kind: 'urls', value: [] } };
  const { urls, error } = parseUrlList(text);
  return error === undefined ? { parsed: { kind: 'urls', value: urls } } : { error };
}

function parseOrigins(text: string): ParsedFlagValue {
  if (text === '*') return strings(['*']);
  const { urls, error } = parseUrlList(text);
  return error === undefined ? strings(urls.map((url) => url.text)) : { error };
}

function number(value: number): ParsedFlagValue {
  return { parsed: { kind: 'number', value } };
}

function string(value: string): ParsedFlagValue {
  return { parsed: { kind: 'string', value } };
}

function strings(value: readonly string[]): ParsedFlagValue {
  return { parsed: { kind: 'strings', value } };
}
