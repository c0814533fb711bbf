/** URLs at which a member listens for others, as they are typed: checked before the cluster hears of them. */
import { ExitError } from '@etcd/host/cli';
import { EXIT } from './exit-codes.ts';

const SCHEMES: ReadonlySet<string> = new Set(['http', 'https', 'unix', 'unixs']);

export function peerUrls(list: string): string[] {
  const urls = list.split(',');
  for (const url of urls) {
    const problem = problemOf(url.trim());
    if (problem !== '') throw new ExitError(EXIT.ERROR, problem);
  }
  return urls;
}

function problemOf(url: string): string {
  const [, scheme = '', rest = ''] = /^([a-zA-Z][\w+.-]*):\/\/(.*)$/.exec(url) ?? [];
  if (!SCHEMES.has(scheme)) return `URL scheme must be http, https, unix, or unixs: ${url}`;
  if (scheme.startsWith('unix')) return '';
  const [hostPort = '', path] = rest.split(/(?=\/)/);
  if (!/:[^:\]]*$/.test(hostPort)) return `URL address does not have the form "host:port": ${url}`;
  return path === undefined ? '' : `URL must not contain a path: ${url}`;
}
