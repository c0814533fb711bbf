import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EtcdUrl, parseUrlList } from '@etcd/base';
import { MemberStartError } from '../config/index.ts';
import { assignSockets } from './assign-sockets.ts';

const urls = (list: string): readonly EtcdUrl[] => (list === '' ? [] : parseUrlList(list).urls!);

const CONFIG = {
  listenClientUrls: urls('http://127.0.0.1:1,http://127.0.0.1:2'),
  listenClientHttpUrls: urls(''),
  listenPeerUrls: urls('http://127.0.0.1:3'),
  listenMetricsUrls: urls('unix:/run/metrics'),
};

function assigned(...names: string[]): Record<string, number> {
  const sockets = names.map((name, i) => ({ name, descriptor: 3 + i }));
  return Object.fromEntries(
    [...assignSockets(sockets, CONFIG)].map(([{ text }, { descriptor }]) => [text, descriptor]),
  );
}

test('sockets serve the URLs of their kind in order, and what has none is listened on as usual', () => {
  assert.deepEqual(assigned(), {});
  assert.deepEqual(assigned('peer', 'client'), { 'http://127.0.0.1:3': 3, 'http://127.0.0.1:1': 4 });
  assert.deepEqual(assigned('client', 'metrics', 'client'), {
    'http://127.0.0.1:1': 3,
    'unix:/run/metrics': 4,
    'http://127.0.0.1:2': 5,
  });
});

test('a socket that would serve nothing ends the start', () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['etcd.socket'], /^socket 3 has the name "etcd\.socket": FileDescriptorName= has to be one of client, /],
    [['client', 'unknown'], /^socket 4 has the name "unknown"/],
    [['peer', 'peer'], /^socket 4 \(peer\) has no URL in --listen-peer-urls, which has 1$/],
    [['client-http'], /^socket 3 \(client-http\) has no URL in --listen-client-http-urls, which has 0$/],
  ];
  for (const [names, words] of cases) {
    assert.throws(
      () => assigned(...names),
      (error) => error instanceof MemberStartError && words.test(error.message),
    );
  }
});
