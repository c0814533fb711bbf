/** Whose page a request comes from. */
import type { HttpFacts } from './http-call.ts';

/** Whether a page that a request comes from is one of this server's own. */
export function isSameOrigin(origin: string, facts: Pick<HttpFacts, 'isSecure' | 'header'>): boolean {
  const host = facts.header('host');
  const scheme = facts.isSecure ? 'https' : 'http';
  return host !== null && origin.toLowerCase() === `${scheme}://${host.toLowerCase()}`;
}
