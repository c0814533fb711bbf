/**
 * What a request asks for, by its target: a path with a query, or a whole URI (RFC 9112, section 3.2). It is read as Go's HTTP server and
 * its multiplexer of paths read it, since clients of etcd have met no other.
 */
import type { HttpAnswer } from './http-answer.ts';

export interface RequestTarget {
  /** Its escapes resolved. */
  readonly path: string;
  /** The same for whoever compares it part by part: a slash that was escaped stays so. */
  readonly route: string;
  /** What stands behind the question mark, as it was sent. */
  readonly query: string;
  /** Host and port of a whole URI, which count instead of those of the header; null: it is none. */
  readonly host: string | null;
  /** Where it should have asked: path and query without empty parts and dots; null: it did. */
  readonly location: string | null;
}

/** Nothing in it that would have to be resolved. */
const PLAIN = /^(?:\/[\w~-][\w.~-]*)*\/?$/;
const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):/;
const AUTHORITY = /^(?:\[[\w:.%~-]+\]|[^\s\\^`{|}[\]:%]*)(?::\d*)?$/;
const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2})/;
/** What may stand in a path as it is. */
const VALID_PATH = /^[\w.~!$&'()*+,;=:@[\]/%-]*$/;
const REDIRECT = 307;

/** Null: it is none. */
export function readTarget(method: string, target: string): RequestTarget | null {
  const mark = target.indexOf('?');
  const query = mark < 0 ? '' : target.slice(mark + 1);
  const beforeQuery = mark < 0 ? target : target.slice(0, mark);
  if (PLAIN.test(beforeQuery)) {
    const path = beforeQuery === '' ? null : beforeQuery;
    return path === null ? null : { path, route: path, query, host: null, location: null };
  }
  if (target === '*') return { path: '*', route: '*', query: '', host: null, location: null };
  const split = splitUri(method, beforeQuery);
  if (split === null || BAD_ESCAPE.test(split.path)) return null;
  return resolve(method, split, query, mark >= 0);
}

/** How whoever asked for something else than it meant is sent there. */
export function redirectTo(method: string, location: string): HttpAnswer {
  const isShown = method === 'GET' || method === 'HEAD';
  return {
    status: REDIRECT,
    headers: [
      ...(isShown ? [['content-type', 'text/html; charset=utf-8'] as const] : []),
      ['location', location],
    ],
    body: method === 'GET' ? `<a href="${htmlText(location)}">Temporary Redirect</a>.\n\n` : '',
  };
}

/** With what is no part of a path escaped, as bytes of UTF-8. */
function escapePath(path: string): string {
  return encodeURIComponent(path.toWellFormed()).replace(
    /%(2F|24|26|2B|2C|3A|3B|3D|40)|[!'()*]/g,
    (text, code: string | undefined) =>
      code === undefined
        ? `%${text.charCodeAt(0).toString(16).toUpperCase()}`
        : String.fromCharCode(Number.parseInt(code, 16)),
  );
}

/** Without empty parts, `.` and `..`; a slash at its end stays. */
function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  const clean = `/${parts.join('/')}`;
  return path.endsWith('/') && parts.length > 0 ? `${clean}/` : clean;
}

interface SplitUri {
  readonly host: string | null;
  /** As it was sent. */
  readonly path: string;
}

function splitUri(method: string, text: string): SplitUri | null {
  if (text.startsWith('/')) return { host: null, path: text };
  if (method === 'CONNECT') return splitAuthority(text);
  const scheme = SCHEME.exec(text);
  if (scheme === null) return null;
  const rest = text.slice(scheme[0].length);
  if (rest.startsWith('//')) return splitAuthority(rest.slice(2));
  // Of another kind of URI there is nothing that we know the meaning of.
  return { host: null, path: rest.startsWith('/') ? rest : '' };
}

function splitAuthority(text: string): SplitUri | null {
  const slash = text.indexOf('/');
  const authority = slash < 0 ? text : text.slice(0, slash);
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  return AUTHORITY.test(host) ? { host, path: slash < 0 ? '' : text.slice(slash) } : null;
}

function resolve(
  method: string,
  { host, path: sent }: SplitUri,
  query: string,
  hasQuery: boolean,
): RequestTarget {
  const path = unescapeText(sent);
  const escaped = VALID_PATH.test(sent) ? sent : escapePath(path);
  // Whoever wants a tunnel has named the place exactly.
  const clean = method === 'CONNECT' ? escaped : cleanPath(escaped);
  const route = clean
    .split('/')
    .map((part) => unescapeText(part).replaceAll('/', '%2F'))
    .join('/');
  const location = clean === escaped ? null : `${escapePath(clean)}${hasQuery ? `?${query}` : ''}`;
  return { path, route, query, host, location };
}

function unescapeText(text: string): string {
  if (!text.includes('%')) return text;
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  const resolved = bytes.replace(/%([0-9A-Fa-f]{2})/g, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  return Buffer.from(resolved, 'latin1').toString('utf8');
}

const HTML: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};

function htmlText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => HTML[character]!);
}
