/** Starts of a member as far as its configuration: from arguments, variables or the text of a file to what comes of them. */
import assert from 'node:assert/strict';
import type { Config } from '../config.ts';
import type { ConfigError } from '../config-error.ts';
import { environmentName } from '../flag-spec.ts';
import { FLAG_TABLE } from '../flag-table.ts';
import { loadConfig, type StartWorld } from '../load-config.ts';
import { nodeStartWorld } from '../node-start-world.ts';

export function world(overrides: Partial<StartWorld> = {}): StartWorld {
  return {
    environment: {},
    readFile: () => {
      throw new Error('no such file or directory');
    },
    parseDocument: nodeStartWorld({}).parseDocument,
    defaultHost: () => ({ error: 'could not find default route' }),
    ...overrides,
  };
}

export async function config(args: readonly string[], overrides: Partial<StartWorld> = {}): Promise<Config> {
  const request = await loadConfig(args, world(overrides));
  assert.ok(request.kind === 'run', request.kind === 'refused' ? request.error.message : request.kind);
  return request.config;
}

export async function refusal(
  args: readonly string[],
  overrides: Partial<StartWorld> = {},
): Promise<ConfigError> {
  const request = await loadConfig(args, world(overrides));
  assert.ok(request.kind === 'refused', `accepted: ${args.join(' ')} ${JSON.stringify(overrides)}`);
  return request.error;
}

export async function warnings(
  args: readonly string[],
  overrides: Partial<StartWorld> = {},
): Promise<string[]> {
  const request = await loadConfig(args, world(overrides));
  assert.ok(request.kind === 'run');
  return request.notices.filter((notice) => notice.level === 'warn').map((notice) => notice.message);
}

export function fromFile(text: string): Partial<StartWorld> {
  return { environment: { ETCD_CONFIG_FILE: '/etc/etcd.yml' }, readFile: () => text };
}

/** A start that is told the same in one of the three ways. */
export interface Start {
  readonly source: 'argument' | 'environment' | 'file';
  readonly args: readonly string[];
  readonly overrides: Partial<StartWorld>;
}

/** The three ways to say `settings`; two where a file has no key for one of them. */
export function startsWith(settings: Readonly<Record<string, string>>): Start[] {
  const entries = Object.entries(settings);
  const starts: Start[] = [
    { source: 'argument', args: entries.map(([name, text]) => `--${name}=${text}`), overrides: {} },
    {
      source: 'environment',
      args: [],
      overrides: {
        environment: Object.fromEntries(entries.map(([name, text]) => [environmentName(name), text])),
      },
    },
  ];
  const keys = entries.map(([name]) => FLAG_TABLE.get(name)!.configKey);
  if (keys.includes(null)) return starts;
  const document = {};
  for (const [name, text] of entries) put(document, name, text);
  return [...starts, { source: 'file', args: [], overrides: fromFile(JSON.stringify(document)) }];
}

/** Under the key of the flag, with sections around it, as the type that a file has for it. */
function put(document: Record<string, unknown>, name: string, text: string): void {
  const { configKey, kind } = FLAG_TABLE.get(name)!;
  const sections = configKey!.split('.');
  const key = sections.pop()!;
  let section = document;
  for (const part of sections) {
    section[part] ??= {};
    section = section[part] as Record<string, unknown>;
  }
  section[key] = kind === 'bool' && (text === 'true' || text === 'false') ? text === 'true' : text;
}
