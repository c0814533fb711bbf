/** Metrics for Prometheus, and a page that says that the program turns. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { OperatorMetrics } from './operator-metrics.ts';

export interface MetricsServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** @param address `host:port`, or `:port` for all. Rejects where that can't be listened on. */
export async function serveMetrics(address: string, metrics: OperatorMetrics): Promise<MetricsServer> {
  const { host, port } = parseAddress(address);
  const server = createServer((request, response) => {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const path = request.url?.split('?')[0];
    if (!isRead) answer(response, 405, 'text/plain', 'Method Not Allowed\n');
    else if (path === '/healthz') answer(response, 200, 'text/plain', 'ok\n');
    else if (path !== '/metrics') answer(response, 404, 'text/plain', '404 page not found\n');
    else
      metrics.scrape().then(
        ({ contentType, body }) => answer(response, 200, contentType, body),
        (error: unknown) => answer(response, 500, 'text/plain', `${String(error)}\n`),
      );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(response: ServerResponse, code: number, type: string, body: string): void {
  response.writeHead(code, { 'content-type': type }).end(body);
}

/** Throws for what is no address. */
function parseAddress(address: string): { readonly host: string | undefined; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new Error(`${address} is no address, as 127.0.0.1:8080 or :8080`);
  return { host: match[1] ?? (match[2] || undefined), port };
}
