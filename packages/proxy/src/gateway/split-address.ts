/** Addresses as Go's `net` takes them. */

export interface HostPort {
  /** Without brackets; may be empty. */
  readonly host: string;
  readonly port: string;
}

/** Null for what is no `host:port`. */
export function splitHostPort(text: string): HostPort | null {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:[\]]*)$/.exec(text);
  if (match === null) return null;
  return { host: match[1] ?? match[2] ?? '', port: match[3] ?? '' };
}

/** What of an endpoint counts for TCP: `https://a:2379/x` is `a:2379`. */
export function withoutScheme(endpoint: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\/([^/]+)/i.exec(endpoint)?.[1] ?? endpoint;
}
