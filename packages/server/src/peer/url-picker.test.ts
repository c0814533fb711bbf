import assert from 'node:assert/strict';
import { test } from 'node:test';
import { peerUrls } from './testing/peer-world.ts';
import { parsePeerUrls, UrlPicker } from './url-picker.ts';

const TEXTS = ['http://a:1', 'http://b:2', 'http://c:3'];

test('the URL that worked is used until it fails, then the next one, and after the last the first', () => {
  const urls = peerUrls(...TEXTS);
  const picker = new UrlPicker(urls);
  const picked: string[] = [];
  for (let i = 0; i < 4; i++) {
    assert.equal(picker.pick(), picker.pick());
    picked.push(picker.pick().text);
    picker.unreachable(picker.pick());
  }
  assert.deepEqual(picked, [...TEXTS, TEXTS[0]]);
});

test('what fails late, when another URL is in use, moves nothing', () => {
  const urls = peerUrls(...TEXTS);
  const picker = new UrlPicker(urls);
  picker.unreachable(urls[0]!);
  picker.unreachable(urls[0]!);
  assert.equal(picker.pick(), urls[1]);
  picker.unreachable(urls[2]!);
  assert.equal(picker.pick(), urls[1]);
});

test('new URLs are tried from their first on, and those of before do not count any more', () => {
  const before = peerUrls(...TEXTS);
  const picker = new UrlPicker(before);
  picker.unreachable(before[0]!);
  const after = peerUrls('http://d:4', 'http://b:2');
  picker.update(after);
  assert.equal(picker.pick(), after[0]);
  picker.unreachable(before[0]!);
  assert.equal(picker.pick(), after[0]);
});

test('S21 URLs of a peer are all good, and at least one, or none', () => {
  const cases: readonly [readonly string[], number | null][] = [
    [['http://a:1'], 1],
    [['https://a:1', 'unix://a:2'], 2],
    [[], null],
    [[''], null],
    [['a:1'], null],
    [['ftp://a:1'], null],
    [['http://a'], null],
    [['http://a:1/path'], null],
    [['http://a:1', 'nowhere'], null],
  ];
  for (const [texts, count] of cases) assert.equal(parsePeerUrls(texts)?.length ?? null, count, texts.join());
});
