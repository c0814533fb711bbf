/** The real machine behind a start: files, the routing table and the YAML parser. */
import { lookup } from 'node:dns/promises';
import { readFileSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DefaultHost, findDefaultHost } from '@etcd/host/net';
import { systemErrorText } from '@etcd/host/process';
import type { ResolveHost } from '@etcd/storage/membership';
import type { ParsedDocument } from './config-file.ts';
import type { StartWorld } from './load-config.ts';

/** No configuration is near this long; a wrong path may be. */
const MAX_CONFIG_FILE_BYTES = 1024 ** 2;

const RESOLVE_TRIES = 30;
const RESOLVE_RETRY_MS = 1000;

export function nodeStartWorld(environment: NodeJS.ProcessEnv): StartWorld {
  return { environment, readFile, parseDocument, defaultHost };
}

/**
 * Addresses by name, asked again for half a minute where the name is not known yet: on many platforms the record of a
 * new member appears after its process has started.
 */
export const nodeResolveHost: ResolveHost = async (hostname) => {
  for (let tries = 1; ; tries++) {
    try {
      return (await lookup(hostname)).address;
    } catch (error) {
      if (tries === RESOLVE_TRIES) throw error;
      await sleep(RESOLVE_RETRY_MS);
    }
  }
};

function readFile(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > MAX_CONFIG_FILE_BYTES) throw new Error(`longer than ${MAX_CONFIG_FILE_BYTES} bytes`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(systemErrorText(error), { cause: error });
  }
}

/** The parser is loaded by those starts only that need it. */
async function parseDocument(text: string): Promise<ParsedDocument> {
  const { isMap, isScalar, LineCounter, parseDocument: parseYaml } = await import('yaml');
  const lineCounter = new LineCounter();
  // Durations in nanoseconds outgrow 2^53 after 104 days.
  // Of a key that is there twice the last one counts, as for etcd.
  const options = { intAsBigInt: true, logLevel: 'error', uniqueKeys: false, lineCounter } as const;
  const document = parseYaml(text, options);
  if (document.errors.length > 0) {
    throw new Error(document.errors.map(({ message }) => message.split('\n')[0]).join('\n'));
  }
  const lines = new Map<string, number>();
  const visit = (node: unknown, prefix: string): void => {
    if (!isMap(node)) return;
    for (const { key, value } of node.items) {
      if (!isScalar(key)) continue;
      const name = prefix + String(key.value);
      if (key.range) lines.set(name, lineCounter.linePos(key.range[0]).line);
      visit(value, `${name}.`);
    }
  };
  visit(document.contents, '');
  return { value: document.toJS(), lines };
}

function defaultHost(): DefaultHost {
  const interfaces = networkInterfaces();
  return findDefaultHost({
    ipv4Routes: readRoutes('/proc/net/route'),
    ipv6Routes: readRoutes('/proc/net/ipv6_route'),
    addressesOf: (name) => interfaces[name] ?? [],
  });
}

function readRoutes(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // A kernel without the protocol, or no Linux: there is no route to be found.
    return '';
  }
}
