/** Asks a member for its metrics, over a connection of its own. */
import { request as httpRequest } from 'node:http';
import type { Random } from '@etcd/base';
import { parseEndpoint } from '@etcd/client';
import type { ProxyConnector } from '../upstream/connector.ts';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 64 * 1024 * 1024;

/** Rejects when the member that chance has chosen does not answer. */
export function memberMetrics(
  connector: ProxyConnector,
  endpoints: readonly string[],
  random: Random,
): Promise<string> {
  const endpoint = parseEndpoint(endpoints[random.below(endpoints.length)]!);
  return new Promise((resolve, reject) => {
    const asked = httpRequest(
      {
        path: '/metrics',
        headers: { host: endpoint.authority, connection: 'close' },
        timeout: TIMEOUT_MS,
        createConnection: () => connector.dial(endpoint, ['http/1.1']),
      },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (piece: string) => {
          text += piece;
          if (text.length > MAX_BYTES) asked.destroy(new Error('the metrics of the member are too long'));
        });
        answer.on('end', () => resolve(text));
        answer.on('error', reject);
      },
    );
    asked.on('timeout', () => asked.destroy(new Error('the member does not answer')));
    asked.on('error', reject);
    asked.end();
  });
}
