/** Members that register at a service of the older kind (v2 discovery), members of real etcd among them. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import type { Kind } from '../../support/cluster.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, tool } from '../../support/programs.ts';
import { eventually, Running } from '../../support/run.ts';
import { freePort } from '../../support/temporary.ts';
import { foundTogether, launchFounder, planFounders } from './founders.ts';

/** An etcd that still has the old API. */
async function startOldApi(): Promise<EtcdServer> {
  return EtcdServer.start({ program: peer('3.5', 'etcd'), flags: [...FAST_ELECTION, '--enable-v2'] });
}

function directoryOf(service: EtcdServer, token: string): string {
  return `${service.clientUrl}/v2/keys/discovery/${token}`;
}

async function putSize(service: EtcdServer, token: string, size: string): Promise<void> {
  const body = new URLSearchParams({ value: size });
  const answer = await fetch(`${directoryOf(service, token)}/_config/size`, { method: 'PUT', body });
  assert.equal(answer.status, 201);
}

const MIXES: readonly (readonly Kind[])[] = [
  ['ours', 'ours'],
  ['ours', '3.5', '3.6'],
  ['3.4', 'ours', '3.5'],
];

for (const kinds of MIXES) {
  test(
    `${kinds.join(', ')} found a cluster by a URL`,
    needs('etcd 3.4', 'etcd 3.5', 'etcd 3.6'),
    async () => {
      const service = await startOldApi();
      try {
        await putSize(service, 'T', String(kinds.length));
        const flags = [`--discovery=${directoryOf(service, 'T')}`];
        const founders = await planFounders(kinds);
        await foundTogether(
          founders,
          () => ({ flags }),
          async (servers) => {
            const [late] = await planFounders(['ours']);
            const refused = await launchFounder({ ...late!, name: 'late' }, { flags });
            assert.match(
              (await refused.ended).stderr,
              /failed to join discovery cluster \(discovery: cluster is full\)/,
            );
            await servers[0]!.kill();
            const lost = await launchFounder({ ...founders[0]!, kind: 'ours' }, { flags });
            assert.match(
              (await lost.ended).stderr,
              /failed to join discovery cluster \(discovery: found duplicate id\)/,
            );
          },
        );
      } finally {
        await service.kill();
      }
    },
  );
}

test(
  'by the service that Debian has, which gives out tokens',
  needs('etcd 3.5', 'etcd-discovery'),
  async () => {
    const backend = await startOldApi();
    const port = await freePort();
    const host = `http://127.0.0.1:${port}`;
    const service = new Running(tool('etcd-discovery'), [
      '-a',
      `127.0.0.1:${port}`,
      '-e',
      backend.clientUrl,
      '-h',
      host,
    ]);
    try {
      const url = await eventually('the service gives out a token', async () => {
        const answer = await fetch(`${host}/new?size=2`).catch(() => null);
        return answer?.status === 200 ? await answer.text() : null;
      });
      await foundTogether(await planFounders(['ours', '3.5']), () => ({ flags: [`--discovery=${url}`] }));
    } finally {
      service.kill();
      await backend.kill();
    }
  },
);

test(
  'a size or a service that is none ends the start, in the same words',
  needs('etcd 3.5', 'etcd 3.6'),
  async () => {
    const service = await startOldApi();
    const page = createServer((_request, response) => response.end('<html>no such thing</html>'));
    const pagePort = await freePort();
    await new Promise<void>((resolve) => page.listen(pagePort, '127.0.0.1', resolve));
    try {
      await putSize(service, 'bad', 'three');
      const cases = [
        // Real etcd has these words too, but says what its client says.
        [directoryOf(service, 'nobody'), /discovery: size key not found|100: Key not found/],
        [directoryOf(service, 'bad'), /discovery: size key is bad/],
        [`http://127.0.0.1:${pagePort}/T`, /discovery: bad discovery endpoint/],
      ] as const;
      for (const [url, words] of cases) {
        for (const kind of ['ours', '3.6'] as const) {
          const [founder] = await planFounders([kind]);
          const member = await launchFounder(founder!, { flags: [`--discovery=${url}`] });
          const { code, stderr } = await member.ended;
          assert.match(stderr, words, `${kind} ${url}`);
          assert.equal(code, 1);
        }
      }
    } finally {
      page.close();
      await service.kill();
    }
  },
);

test('through a proxy', needs('etcd 3.5'), async () => {
  const service = await startOldApi();
  const asked: string[] = [];
  // A proxy is asked for whole URLs.
  const proxy = createServer(async (request, response) => {
    asked.push(request.url!);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = 'GET' } = request;
    const body = method === 'GET' ? null : Buffer.concat(chunks);
    const type = { 'content-type': request.headers['content-type'] ?? 'text/plain' };
    const answer = await fetch(request.url!, { method, body, headers: type });
    response.writeHead(answer.status, { 'x-etcd-index': answer.headers.get('x-etcd-index') ?? '0' });
    response.end(await answer.text());
  });
  const port = await freePort();
  await new Promise<void>((resolve) => proxy.listen(port, '127.0.0.1', resolve));
  try {
    await putSize(service, 'T', '2');
    const url = directoryOf(service, 'T');
    const flags = [`--discovery=${url}`, `--discovery-proxy=127.0.0.1:${port}`];
    await foundTogether(await planFounders(['ours', 'ours']), () => ({ flags }));
    assert.ok(asked.every((each) => each.startsWith(url)));
    assert.ok(asked.length >= 6);
  } finally {
    proxy.close();
    proxy.closeAllConnections();
    await service.kill();
  }
});
