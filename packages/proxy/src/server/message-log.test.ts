import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AuthenticateRequest,
  AuthenticateResponse,
  AuthUserAddRequest,
  encodeAuthenticateRequest,
  encodeAuthenticateResponse,
  encodeAuthUserAddRequest,
  encodePutRequest,
  PutRequest,
} from '@etcd/api/etcdserverpb';
import { AuthService, KvService } from '@etcd/api/services';
import type { LogFields, Logger } from '@etcd/base';
import type { ServerCall } from '@etcd/transport';
import { logMessages } from './message-log.ts';

const CALL = { info: { remoteAddress: '10.0.0.1:99' } } as ServerCall;

function logged(): {
  lines: { message: string; fields: LogFields }[];
  listener: ReturnType<typeof logMessages>;
} {
  const lines: { message: string; fields: LogFields }[] = [];
  const info = (message: string, fields: LogFields = {}): void => void lines.push({ message, fields });
  return { lines, listener: logMessages({ info } as unknown as Logger) };
}

test('a message is a line with its content in JSON, under the names of etcd', () => {
  const { lines, listener } = logged();
  const bytes = encodePutRequest(new PutRequest({ key: Buffer.from('k'), value: Buffer.from('v') }));
  listener(KvService.methods.put, CALL, 'request', bytes, 0, bytes.length);
  assert.deepEqual(lines, [
    {
      message: 'received payload logged as grpc.request.content field',
      fields: {
        'grpc.request.content': '{"key":"aw==","value":"dg=="}',
        'grpc.service': 'etcdserverpb.KV',
        'grpc.method': 'Put',
        'peer.address': '10.0.0.1:99',
      },
    },
  ]);
});

test('S09 passwords and tokens are not in it', () => {
  const { lines, listener } = logged();
  const { authenticate, userAdd } = AuthService.methods;
  const login = encodeAuthenticateRequest(new AuthenticateRequest({ name: 'me', password: 'hunter2' }));
  listener(authenticate, CALL, 'request', login, 0, login.length);
  const token = encodeAuthenticateResponse(new AuthenticateResponse({ token: 'hunter2' }));
  listener(authenticate, CALL, 'response', token, 0, token.length);
  const user = encodeAuthUserAddRequest(
    new AuthUserAddRequest({ name: 'me', password: 'hunter2', hashedPassword: 'hunter2' }),
  );
  listener(userAdd, CALL, 'request', user, 0, user.length);
  assert.equal(lines.length, 3);
  assert.equal(JSON.stringify(lines).includes('hunter2'), false);
  assert.match(String(lines[1]!.fields['grpc.response.content']), /\*\*\*/);
});

test('what is no message is a line, too', () => {
  const { lines, listener } = logged();
  listener(KvService.methods.put, CALL, 'request', Uint8Array.of(0xff), 0, 1);
  assert.match(String(lines[0]!.fields['grpc.request.content']), /^malformed: /);
});
