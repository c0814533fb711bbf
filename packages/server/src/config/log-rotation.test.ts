import assert from 'node:assert/strict';
import { test } from 'node:test';
import { config, refusal } from './testing/starts.ts';

const ROTATE = ['--enable-log-rotation', '--log-outputs=/x.log'];

test('a rotation has the limits that are given, and those of etcd', async () => {
  const rotation = async (json: string) =>
    (await config([...ROTATE, `--log-rotation-config-json=${json}`])).logRotation;
  assert.deepEqual(
    await rotation('{"maxsize":1,"maxage":2,"maxbackups":3,"localtime":true,"compress":true}'),
    {
      maxSizeMegabytes: 1,
      maxAgeDays: 2,
      maxBackups: 3,
      isLocalTime: true,
      isCompressed: true,
    },
  );
  assert.equal((await rotation('{"MaxSize": 5, "unknown": [{}], "maxage": null}'))?.maxSizeMegabytes, 5);
  assert.equal(
    (await config(['--log-rotation-config-json=nonsense'])).logRotation,
    null,
    'nobody asked for one',
  );
});

test('what is no rotation is refused in the words of etcd', async () => {
  const cases: [json: string, error: string][] = [
    ['xyz', "improperly formatted log rotation config: invalid character 'x' looking for beginning of value"],
    ['', 'improperly formatted log rotation config: unexpected end of JSON input'],
    ['{"maxsize": 1', 'improperly formatted log rotation config: unexpected end of JSON input'],
    [
      '{"maxsize": 1}x',
      "improperly formatted log rotation config: invalid character 'x' after top-level value",
    ],
    [
      '{maxsize:1}',
      "improperly formatted log rotation config: invalid character 'm' looking for beginning of object key string",
    ],
    [
      '[1]',
      'invalid log rotation config: json: cannot unmarshal array into Go value of type embed.logRotationConfig',
    ],
    [
      '"s"',
      'invalid log rotation config: json: cannot unmarshal string into Go value of type embed.logRotationConfig',
    ],
    [
      '{"maxsize": "a"}',
      'invalid log rotation config: json: cannot unmarshal string into Go struct field logRotationConfig.Logger.maxsize of type int',
    ],
    [
      '{"maxage": 1.5}',
      'invalid log rotation config: json: cannot unmarshal number 1.5 into Go struct field logRotationConfig.Logger.maxage of type int',
    ],
    [
      '{"maxbackups": 99999999999999999999}',
      'invalid log rotation config: json: cannot unmarshal number 99999999999999999999 into Go struct field logRotationConfig.Logger.maxbackups of type int',
    ],
    [
      '{"compress":"yes"}',
      'invalid log rotation config: json: cannot unmarshal string into Go struct field logRotationConfig.Logger.compress of type bool',
    ],
  ];
  for (const [json, error] of cases) {
    const { message } = await refusal([...ROTATE, `--log-rotation-config-json=${json}`]);
    assert.equal(message, error);
  }
});

test('S19 limits below nothing are refused, which etcd takes', async () => {
  const { message } = await refusal([...ROTATE, '--log-rotation-config-json={"maxsize":-1}']);
  assert.equal(message, 'invalid log rotation config: maxsize must not be negative');
});

test('a rotation needs one file', async () => {
  const error = '--log-outputs requires a single file path when --log-rotate-config-json is defined';
  for (const outputs of ['stderr', 'default', 'stdout', '/a,/b', '/a,/b,stderr']) {
    const { message } = await refusal(['--enable-log-rotation', `--log-outputs=${outputs}`]);
    assert.equal(message, error, outputs);
  }
  for (const outputs of ['/a', 'stderr,/a', 'stdout,stderr']) {
    assert.notEqual((await config(['--enable-log-rotation', `--log-outputs=${outputs}`])).logRotation, null);
  }
});
