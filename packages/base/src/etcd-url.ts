/**
 * The URLs by which members and clients find each other: `http`, `https`, `unix` and `unixs`. Their text is hashed into
 * member and cluster ids and compared across members, so a parsed URL keeps exactly the text that Go's `url.Parse`
 * followed by `String` gives, and the refusals carry Go's and etcd's words.
 */

export type UrlScheme = 'http' | 'https' | 'unix' | 'unixs';

export interface EtcdUrl {
  readonly scheme: UrlScheme;
  /** What stands between the slashes and the path, without user info: `127.0.0.1:2379`, `[::1]:2379`. */
  readonly host: string;
  /** `host` without port and brackets. Empty for unix URLs that have only a path. */
  readonly hostname: string;
  /** `host`'s port as written; may be empty, which listens on any free port. */
  readonly port: string;
  /** Empty for http and https; for unix URLs the path of the socket, if it has one. */
  readonly path: string;
  /** The canonical text, equal on every member. */
  readonly text: string;
}

export type ParsedUrls =
  | { readonly urls: readonly EtcdUrl[]; readonly error?: undefined }
  | { readonly urls?: undefined; readonly error: string };

type ParsedUrl =
  | { readonly url: EtcdUrl; readonly error?: undefined }
  | { readonly url?: undefined; readonly error: string };

/** A comma-separated list, sorted by text, each URL once. */
export function parseUrlList(list: string): ParsedUrls {
  const { urls, error } = parseUrls(list.split(','));
  if (error !== undefined) return { error };
  return { urls: urls.filter((url, i) => i === 0 || url.text !== urls[i - 1]!.text) };
}

/** URLs that are separate already, sorted by text; one given twice is there twice. */
export function parseUrls(items: readonly string[]): ParsedUrls {
  const urls: EtcdUrl[] = [];
  for (const item of items) {
    const { url, error } = parseEtcdUrl(item.trim());
    if (error !== undefined) return { error };
    urls.push(url);
  }
  return { urls: urls.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0)) };
}

/** One URL, with etcd's rules: a known scheme, and for http and https `host:port` and no path. */
export function parseEtcdUrl(text: string): ParsedUrl {
  const generic = parseGoUrl(text);
  if (generic.error !== undefined) return { error: `parse ${JSON.stringify(text)}: ${generic.error}` };
  const { scheme, userInfo, host, path, query, fragment, opaque } = generic;
  if (scheme === 'http' || scheme === 'https') {
    if (splitHostPort(host) === null) {
      return { error: `URL address does not have the form "host:port": ${text}` };
    }
    if (path !== '') return { error: `URL must not contain a path: ${text}` };
  } else if (scheme !== 'unix' && scheme !== 'unixs') {
    return { error: `URL scheme must be http, https, unix, or unixs: ${text}` };
  }
  const authority = userInfo === null ? host : `${userInfo}@${host}`;
  const slashes = opaque ? '' : '//';
  const canonical = `${scheme}:${slashes}${authority}${path}${query}${fragment}`;
  const parts = splitHostPort(host) ?? { hostname: host, port: '' };
  return { url: { scheme, host, ...parts, path, text: canonical } };
}

/** The address of a unix socket: as in etcd, whatever follows the scheme. */
export function unixSocketPath(url: EtcdUrl): string {
  return url.host + url.path;
}

export function isUnixUrl(url: EtcdUrl): boolean {
  return url.scheme === 'unix' || url.scheme === 'unixs';
}

export function isSecureUrl(url: EtcdUrl): boolean {
  return url.scheme === 'https' || url.scheme === 'unixs';
}

export function urlTexts(urls: readonly EtcdUrl[]): string[] {
  return urls.map((url) => url.text);
}

/** Parts of `host:port` with the brackets of an IPv6 address taken off; null where there is no port part. */
export function splitHostPort(host: string): { hostname: string; port: string } | null {
  const bracketed = /^\[([^[\]]*)\]:([^:]*)$/.exec(host);
  if (bracketed !== null) return { hostname: bracketed[1]!, port: bracketed[2]! };
  const plain = /^([^:[\]]*):([^:]*)$/.exec(host);
  return plain === null ? null : { hostname: plain[1]!, port: plain[2]! };
}

interface GoUrl {
  readonly scheme: string;
  readonly userInfo: string | null;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly fragment: string;
  /** Written without slashes after the scheme. */
  readonly opaque: boolean;
  readonly error?: undefined;
}

/** The part of Go's URL grammar that a listen or advertise URL can meet. */
function parseGoUrl(text: string): GoUrl | { readonly error: string } {
  if (hasControlCharacter(text)) return { error: 'net/url: invalid control character in URL' };
  if (text.startsWith(':')) return { error: 'missing protocol scheme' };
  const [beforeFragment, fragment] = cut(text, '#');
  const schemeMatch = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(beforeFragment);
  const scheme = schemeMatch === null ? '' : schemeMatch[1]!.toLowerCase();
  const [rest, query] = cut(beforeFragment.slice(schemeMatch === null ? 0 : scheme.length + 1), '?');
  if (schemeMatch === null && /^[^/]*:/.test(rest)) {
    return { error: 'first path segment in URL cannot contain colon' };
  }
  const badEscape = /%(?![\da-fA-F]{2}).{0,2}/.exec(rest);
  if (badEscape !== null) return { error: `invalid URL escape ${JSON.stringify(badEscape[0])}` };
  if (!rest.startsWith('//')) {
    return { scheme, userInfo: null, host: '', path: rest, query, fragment, opaque: true };
  }
  const slash = rest.indexOf('/', 2);
  const authority = slash < 0 ? rest.slice(2) : rest.slice(2, slash);
  const path = slash < 0 ? '' : rest.slice(slash);
  const at = authority.lastIndexOf('@');
  const host = authority.slice(at + 1);
  const error = hostProblem(host);
  if (error !== null) return { error };
  const userInfo = at < 0 ? null : authority.slice(0, at);
  return { scheme, userInfo, host, path, query, fragment, opaque: false };
}

function hostProblem(host: string): string | null {
  const close = host.lastIndexOf(']');
  if (host.startsWith('[')) {
    if (close < 0) return "missing ']' in host";
    return portProblem(host.slice(close + 1));
  }
  const colon = host.indexOf(':');
  const name = colon < 0 ? host : host.slice(0, colon);
  const strange = /[^\w.~!$&'()*+,;=%\u0080-\uffff-]/.exec(name);
  if (strange !== null) return `invalid character ${JSON.stringify(strange[0])} in host name`;
  return colon < 0 ? null : portProblem(host.slice(colon));
}

function portProblem(port: string): string | null {
  return port === '' || /^:\d*$/.test(port) ? null : `invalid port ${JSON.stringify(port)} after host`;
}

/** `text` up to `separator`, and from it on. */
function cut(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at)];
}

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
